//! What a host does with a storage queue, over the published REST API:
//! <https://learn.microsoft.com/rest/api/storageservices/queue-service-rest-api>.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::header::HOST;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::instance::whole;

/// A queue, and the query that lets in.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    pub(super) url: String,
    pub(super) sas: String,
}

/// A message that was received.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) text: String,
    pub(super) dequeued: u32,
    pub(super) receipt: String,
    pub(super) inserted: String,
    pub(super) expires: String,
    pub(super) visible: String,
}

impl Queue {
    /// Makes it, unless it is there.
    pub(super) async fn create(&self) -> Result<(), String> {
        self.call(Method::PUT, "", "", String::new()).await.map(drop)
    }

    /// The first message, which nobody else gets for so many seconds.
    pub(super) async fn receive(&self, hidden: u32) -> Result<Option<Message>, String> {
        let query = format!("numofmessages=1&visibilitytimeout={hidden}");
        let answer = self.call(Method::GET, "messages", &query, String::new()).await?;
        let element = |name: &str| element(&answer, name);
        let Some(id) = element("MessageId") else { return Ok(None) };
        let dequeued = element("DequeueCount").and_then(|count| count.parse().ok());
        Ok(Some(Message {
            id,
            text: element("MessageText").unwrap_or_default(),
            dequeued: dequeued.ok_or_else(|| format!("a message without its count: {answer}"))?,
            receipt: element("PopReceipt").unwrap_or_default(),
            inserted: element("InsertionTime").unwrap_or_default(),
            expires: element("ExpirationTime").unwrap_or_default(),
            visible: element("TimeNextVisible").unwrap_or_default(),
        }))
    }

    pub(super) async fn delete(&self, message: &Message) -> Result<(), String> {
        let query = format!("popreceipt={}", escape(&message.receipt));
        self.call(Method::DELETE, &format!("messages/{}", message.id), &query, String::new()).await.map(drop)
    }

    /// Lets others see it again.
    pub(super) async fn give_back(&self, message: &Message) -> Result<(), String> {
        let query = format!("popreceipt={}&visibilitytimeout=0", escape(&message.receipt));
        self.call(Method::PUT, &format!("messages/{}", message.id), &query, body(&message.text))
            .await
            .map(drop)
    }

    pub(super) async fn send(&self, text: &str) -> Result<(), String> {
        self.call(Method::POST, "messages", "", body(text)).await.map(drop)
    }

    async fn call(&self, method: Method, path: &str, query: &str, body: String) -> Result<String, String> {
        let Self { url, sas } = self;
        let failed = |error: &dyn std::fmt::Display| format!("{method} {url}/{path}: {error}");
        let (address, queue) =
            url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).unwrap_or_default();
        let address: SocketAddr = address.parse().map_err(|error| failed(&error))?;
        let request = Request::builder()
            .method(method.clone())
            .uri(format!("/{}?{query}&{sas}", format!("{queue}/{path}").trim_end_matches('/')))
            .header(HOST, address.to_string())
            .header("x-ms-version", "2025-11-05")
            .body(whole(Bytes::from(body)))
            .map_err(|error| failed(&error))?;
        let stream = TcpStream::connect(address).await.map_err(|error| failed(&error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failed(&error))?;
        let connection = tokio::spawn(connection);
        let answer = sender.send_request(request).await.map_err(|error| failed(&error))?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(|error| failed(&error))?.to_bytes();
        connection.abort();
        let text = String::from_utf8_lossy(&body).into_owned();
        if status.is_success() { Ok(text) } else { Err(failed(&format!("{status} {text}"))) }
    }
}

fn body(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    format!("<QueueMessage><MessageText>{text}</MessageText></QueueMessage>")
}

/// The text of the first element of this name.
fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&"))
}

/// As part of a query.
fn escape(text: &str) -> String {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if safe(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
