//! The least that `Put Blob`, `Put Block`, `Put Block List` and `Get Blob` need.

use std::collections::HashMap;

use bytes::Bytes;
use http_body_util::Full;
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use rustwren_testkit::least_server::object;

#[derive(Default)]
pub(crate) struct Store {
    blobs: HashMap<String, Bytes>,
    /// Blocks that are not committed, by the name of their blob and their own.
    blocks: HashMap<(String, String), Bytes>,
}

pub(crate) fn answer(head: &Parts, body: Bytes, store: &mut Store) -> Response<Full<Bytes>> {
    let name = head.uri.path().to_owned();
    let query = head.uri.query().unwrap_or_default();
    let block = query.split('&').find_map(|pair| pair.strip_prefix("blockid="));
    let created = Response::builder().status(StatusCode::CREATED).header("etag", "\"1\"");
    let reply = match (head.method.clone(), block) {
        (Method::PUT, Some(block)) => {
            // In the query it is encoded, in the list it is not.
            let block = block.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
            store.blocks.insert((name, block), body);
            created.body(Full::default())
        }
        (Method::PUT, None) if query.contains("comp=blocklist") => {
            let list = String::from_utf8(body.to_vec()).unwrap();
            let blocks = list.split("<Latest>").skip(1).map(|rest| {
                let block = rest.split("</Latest>").next().unwrap().to_owned();
                store.blocks.remove(&(name.clone(), block)).unwrap()
            });
            let whole: Vec<Bytes> = blocks.collect();
            store.blobs.insert(name, whole.concat().into());
            created.body(Full::default())
        }
        (Method::PUT, None) => {
            store.blobs.insert(name, body);
            created.body(Full::default())
        }
        (Method::GET, _) => return object(&store.blobs[&name], head),
        _ => Response::builder().status(StatusCode::NOT_IMPLEMENTED).body(Full::default()),
    };
    reply.unwrap()
}
