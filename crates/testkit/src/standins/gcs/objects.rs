//! What is known of buckets and objects, listings, and what removes them.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::answer::Answer;
use super::exchange::Asked;
use super::store::{Conditions, Store, resource};
use crate::standins::published::{Called, Wrong};

/// More the service does not list in one answer.
const LARGEST_PAGE: usize = 1_000;

pub(super) fn make_bucket(store: &mut Store, asked: &Asked, called: &Called) -> Answer {
    let said: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
    if let Err(Wrong(message)) = called.check_body(Some(&said)) {
        return Answer::error(400, "invalid", &message);
    }
    let Some(name) = said["name"].as_str() else {
        return Answer::error(400, "required", "Required: name");
    };
    if store.make_bucket(name) {
        bucket(store, name)
    } else {
        Answer::error(
            409,
            "conflict",
            "Your previous request to create the named bucket succeeded and you already own it.",
        )
    }
}

pub(super) fn bucket(store: &Store, name: &str) -> Answer {
    if store.buckets.contains_key(name) {
        Answer::json(&json!({"kind": "storage#bucket", "id": name, "name": name, "location": "US"}))
    } else {
        Answer::no_bucket()
    }
}

pub(super) fn remove_bucket(store: &mut Store, name: &str) -> Answer {
    match store.buckets.get(name) {
        None => Answer::no_bucket(),
        Some(objects) if !objects.is_empty() => {
            Answer::error(409, "conflict", "The bucket you tried to delete is not empty.")
        }
        Some(_) => {
            store.buckets.remove(name);
            Answer::empty(204)
        }
    }
}

pub(super) fn metadata(store: &Store, asked: &Asked, bucket: &str, name: &str) -> Answer {
    let Some(objects) = store.buckets.get(bucket) else { return Answer::no_bucket() };
    let Some(object) = objects.get(name) else { return Answer::no_object(bucket, name) };
    if !Conditions::of(&asked.target).hold(Some(object)) {
        return Answer::unmet();
    }
    Answer::json(&resource(bucket, name, object))
}

pub(super) fn delete(store: &mut Store, asked: &Asked, bucket: &str, name: &str) -> Answer {
    let Some(objects) = store.buckets.get_mut(bucket) else { return Answer::no_bucket() };
    let Some(object) = objects.get(name) else { return Answer::no_object(bucket, name) };
    if !Conditions::of(&asked.target).hold(Some(object)) {
        return Answer::unmet();
    }
    objects.remove(name);
    Answer::empty(204)
}

/// A page of the names that begin with `prefix`, in the order of their bytes, after the one in `pageToken`. Those that have
/// the `delimiter` after the prefix are one entry of `prefixes`.
pub(super) fn list(store: &Store, asked: &Asked, bucket: &str) -> Answer {
    let Some(objects) = store.buckets.get(bucket) else { return Answer::no_bucket() };
    let value = |name| asked.target.value(name).filter(|value| !value.is_empty());
    let prefix = value("prefix").unwrap_or_default();
    if prefix.len() > 1_024 {
        return Answer::error(400, "invalid", "Invalid prefix");
    }
    let most = value("maxResults").and_then(|most| most.parse().ok()).unwrap_or(LARGEST_PAGE);
    let most = most.clamp(1, LARGEST_PAGE);
    let after = match value("pageToken").map(|token| URL_SAFE_NO_PAD.decode(token)) {
        None => None,
        Some(Ok(name)) => Some(String::from_utf8_lossy(&name).into_owned()),
        Some(Err(_)) => return Answer::error(400, "invalid", "Invalid argument"),
    };
    let (mut items, mut prefixes, mut last) = (Vec::new(), BTreeSet::new(), None);
    let mut token = None;
    for (name, object) in objects.range(prefix.to_owned()..).take_while(|(name, _)| name.starts_with(prefix))
    {
        let folder = value("delimiter").and_then(|delimiter| {
            let at = name[prefix.len()..].find(delimiter)?;
            Some(name[..prefix.len() + at + delimiter.len()].to_owned())
        });
        // What was listed before, by itself or in its folder.
        let entry = folder.as_deref().unwrap_or(name);
        if after.as_deref().is_some_and(|after| entry <= after) || prefixes.contains(entry) {
            continue;
        }
        if items.len() + prefixes.len() == most {
            token = last.map(|last: String| URL_SAFE_NO_PAD.encode(last));
            break;
        }
        last = Some(entry.to_owned());
        match folder {
            Some(folder) => drop(prefixes.insert(folder)),
            None => items.push(resource(bucket, name, object)),
        }
    }
    // Absent where empty, as the service has it.
    let mut page = json!({"kind": "storage#objects"});
    if !items.is_empty() {
        page["items"] = items.into();
    }
    if !prefixes.is_empty() {
        page["prefixes"] = prefixes.into_iter().collect();
    }
    if let Some(token) = token {
        page["nextPageToken"] = token.into();
    }
    Answer::json(&page)
}
