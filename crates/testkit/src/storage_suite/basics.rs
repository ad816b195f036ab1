//! One client, one object at a time.

use bytes::Bytes;
use rustwren_core::error::ErrorClass;
use rustwren_core::storage::{Key, MAX_KEY_BYTES, PutOutcome, Storage, StorageExt};

use super::{Scratch, assert_fails, pattern};

/// Objects of any size come back as they were put, the empty one and those of many megabytes included.
pub async fn objects_come_back(storage: &dyn Storage) {
    let scratch = Scratch::new(storage);
    for len in [0, 1, 4_095, 4_096, 65_537, 1 << 20, (8 << 20) + 1] {
        let name = format!("object-{len}");
        scratch.put(&name, pattern(len)).await;
        assert!(scratch.get(&name).await == pattern(len), "{len} bytes came back changed");
    }
    scratch.clean().await;
}

/// A second `put` replaces the first, whichever is larger.
pub async fn overwriting_replaces(storage: &dyn Storage) {
    let scratch = Scratch::new(storage);
    for len in [10, 100_000, 0, 10] {
        scratch.put("k", pattern(len)).await;
        assert_eq!(scratch.get("k").await, pattern(len));
        assert_eq!(storage.head(&scratch.key("k")).await.expect("head").size, len as u64);
    }
    assert_eq!(scratch.list("").await, ["k"]);
    scratch.clean().await;
}

/// Reading what is not there is `NotFound`, next to, above and below objects that are.
pub async fn absence_is_not_found(storage: &dyn Storage) {
    let scratch = Scratch::new(storage);
    scratch.put("a/b", "here").await;
    for name in ["a", "a/b/c", "a/c", "a/b ", "A/b", "x/y/z"] {
        let key = scratch.key(name);
        assert_fails(storage.get(&key).await, ErrorClass::NotFound, "get of no object");
        assert_fails(storage.head(&key).await, ErrorClass::NotFound, "head of no object");
        assert_fails(storage.get_range(&key, 0..1).await, ErrorClass::NotFound, "get_range of no object");
        assert_fails(storage.get_range(&key, 0..0).await, ErrorClass::NotFound, "empty range of no object");
        assert!(!storage.exists(&key).await.expect("exists"));
        assert_eq!(storage.get_opt(&key).await.expect("get_opt"), None);
    }
    scratch.clean().await;
}

/// `head` and `list` tell the same key, size and time.
pub async fn metadata_is_that_of_the_object(storage: &dyn Storage) {
    let scratch = Scratch::new(storage);
    scratch.put("m/k", pattern(1_234)).await;
    let head = storage.head(&scratch.key("m/k")).await.expect("head");
    assert_eq!((&head.key, head.size), (&scratch.key("m/k"), 1_234));
    assert_eq!(storage.list_all(&scratch.name("m")).await.expect("list"), [head]);
    scratch.clean().await;
}

/// Ranges are cut at the object's end; those that start after it are `Invalid`; empty ones are empty.
#[expect(clippy::reversed_empty_ranges, reason = "a range that ends before it starts is empty")]
pub async fn ranges(storage: &dyn Storage) {
    let scratch = Scratch::new(storage);
    let data = pattern(1_000);
    scratch.put("k", data.clone()).await;
    scratch.put("empty", "").await;
    let (key, empty) = (scratch.key("k"), scratch.key("empty"));
    for (range, expected) in [
        (0..1_000, 0..1_000),
        (0..1, 0..1),
        (999..1_000, 999..1_000),
        (10..20, 10..20),
        (990..5_000, 990..1_000),
        (0..u64::MAX, 0..1_000),
        (1_000..1_001, 0..0),
        (0..0, 0..0),
        (500..500, 0..0),
        (1_000..1_000, 0..0),
        (2_000..2_000, 0..0),
        (20..10, 0..0),
        (u64::MAX..0, 0..0),
    ] {
        let got = storage.get_range(&key, range.clone()).await;
        let got = got.unwrap_or_else(|error| panic!("range {range:?}: {error}"));
        assert_eq!(got, data[expected], "range {range:?}");
    }
    for range in [1_001..1_002, 1_001..u64::MAX, u64::MAX - 1..u64::MAX] {
        let what = format!("range {range:?} of 1000 bytes");
        assert_fails(storage.get_range(&key, range).await, ErrorClass::Invalid, &what);
    }
    assert_eq!(storage.get_range(&empty, 0..10).await.expect("range of the empty object"), "");
    assert_fails(storage.get_range(&empty, 1..10).await, ErrorClass::Invalid, "range after the empty object");
    scratch.clean().await;
}

/// `put_if_absent` creates once, says so, and changes nothing afterwards; after a delete it creates again.
pub async fn put_if_absent_keeps(storage: &dyn Storage) {
    let scratch = Scratch::new(storage);
    let key = scratch.key("d/k");
    for first in ["one", "two"] {
        let created = storage.put_if_absent(&key, Bytes::from(first)).await.expect("put_if_absent");
        assert_eq!(created, PutOutcome::Created);
        for other in ["", "other", first] {
            let kept = storage.put_if_absent(&key, Bytes::from(other)).await.expect("put_if_absent");
            assert_eq!(kept, PutOutcome::Exists);
            assert_eq!(scratch.get("d/k").await, first);
        }
        scratch.delete("d/k").await;
    }
    scratch.put("d/k", "put").await;
    let kept = storage.put_if_absent(&key, Bytes::from("other")).await.expect("put_if_absent");
    assert_eq!((kept, scratch.get("d/k").await), (PutOutcome::Exists, Bytes::from("put")));
    scratch.clean().await;
}

/// Deleting removes one object and nothing else; deleting what is not there is no error.
pub async fn deleting_is_idempotent(storage: &dyn Storage) {
    let scratch = Scratch::new(storage);
    for name in ["d", "d/a", "d/b", "d/b/c", "dd"] {
        scratch.put(name, name.to_owned()).await;
    }
    for _ in 0..2 {
        scratch.delete("d/b").await;
        assert_eq!(scratch.list("").await, ["d", "d/a", "d/b/c", "dd"]);
    }
    for never in ["x", "d/x", "x/y/z", "dd/x"] {
        scratch.delete(never).await;
    }
    scratch.delete("d/a").await;
    scratch.delete("d/b/c").await;
    assert_eq!(scratch.list("").await, ["d", "dd"]);
    scratch.put("d/b/c", "again").await;
    assert_eq!(scratch.get("d/b/c").await, "again");
    scratch.clean().await;
}

/// Names that a file system, a URL or an escaping could trip over.
const ODD_NAMES: &[&str] = &[
    " ",
    " lead and trail ",
    "!'()*&$@=;:+,?#[]{}<>|^`~\"",
    "%",
    "%%",
    "%25",
    "%2E",
    "%2F",
    "%2e%2e%2fetc",
    "%+",
    "+",
    "-",
    "-rf",
    "...",
    "..a",
    ".git/config",
    ".hidden",
    ".rustwren-tmp/x",
    "CON",
    "a%",
    "a%+",
    "a%/b",
    "a%+/b",
    "a%/b%",
    "a.",
    "a.d",
    "a.d/b.d",
    "a.tmp",
    "a/.../b",
    "case",
    "CASE",
    "e\u{301}",
    "\u{e9}",
    "nul\u{200b}width",
    "x=1/y=2",
    "~",
    "\u{1f980}/\u{4e2d}\u{6587}/\u{644}",
    "\u{feff}bom",
    "\u{fffd}",
    "\u{10ffff}",
];

/// Any valid key can be written, read, listed and deleted, and no two of them meet.
pub async fn any_valid_key_works(storage: &dyn Storage) {
    let scratch = Scratch::new(storage);
    let names = ODD_NAMES.iter().map(|&name| name.to_owned()).collect();
    round_trip(&scratch, names).await;
    scratch.clean().await;
}

/// So can keys of every length, up to the longest, in one part and in as many as there can be.
pub async fn long_keys_work(storage: &dyn Storage) {
    let scratch = Scratch::new(storage);
    let room = MAX_KEY_BYTES - scratch.name("").len();
    let mut names = Vec::new();
    for len in [127, 128, 129, 255, 256, 257, 511, room - 1, room] {
        names.push("l".repeat(len));
        names.push("l".repeat(len - 4) + "/end");
        names.push("%".repeat(len));
        names.push(".".repeat(len));
    }
    names.push("\u{1f980}".repeat(room / 4));
    names.push("d/".repeat((room - 1) / 2) + "d");
    round_trip(&scratch, names).await;
    scratch.clean().await;
}

async fn round_trip(scratch: &Scratch<'_>, mut names: Vec<String>) {
    let storage = scratch.storage;
    for name in &names {
        scratch.put(name, name.clone()).await;
    }
    names.sort_unstable();
    assert_eq!(scratch.list("").await, names);
    for name in &names {
        assert_eq!(scratch.get(name).await, name.as_bytes(), "the content of {name:?}");
        let key: Key = scratch.key(name);
        let again = storage.put_if_absent(&key, Bytes::new()).await.expect("put_if_absent");
        assert_eq!(again, PutOutcome::Exists, "{name:?}");
        assert!(scratch.list(name).await.contains(name), "listing with {name:?} as prefix");
    }
    for (i, name) in names.iter().enumerate() {
        scratch.delete(name).await;
        assert!(
            !storage.exists(&scratch.key(name)).await.expect("exists"),
            "{name:?} is there after its deletion"
        );
        if let Some(next) = names.get(i + 1) {
            assert_eq!(scratch.get(next).await, next.as_bytes(), "{next:?} after {name:?} was deleted");
        }
    }
}

/// `k` and `k/x` are two objects, whichever comes or goes first.
pub async fn key_and_key_below_it(storage: &dyn Storage) {
    let scratch = Scratch::new(storage);
    for [first, second] in [["k", "k/x"], ["k/x", "k"], ["k/x", "k/x/y/z"], ["k/x/y/z", "k/x"]] {
        for [gone, left] in [[first, second], [second, first]] {
            scratch.put(first, first).await;
            scratch.put(second, second).await;
            assert_eq!((scratch.get(first).await, scratch.get(second).await), (first.into(), second.into()));
            assert_eq!(scratch.list("k").await.len(), 2);
            scratch.delete(gone).await;
            assert_eq!(scratch.list("").await, [left]);
            assert_eq!(scratch.get(left).await, left);
            scratch.delete(left).await;
        }
    }
    scratch.clean().await;
}

/// Whatever has been written or deleted is what `get`, `head` and `list` tell at once, again and again.
pub async fn writes_are_read_at_once(storage: &dyn Storage) {
    let scratch = Scratch::new(storage);
    let key = scratch.key("r/k");
    for round in 0..20_usize {
        let data = pattern(round * 100);
        if round.is_multiple_of(2) {
            scratch.put("r/k", data.clone()).await;
        } else {
            let created = storage.put_if_absent(&key, data.clone()).await.expect("put_if_absent");
            assert_eq!(created, PutOutcome::Created);
        }
        assert_eq!(storage.head(&key).await.expect("head").size, data.len() as u64);
        assert_eq!(scratch.get("r/k").await, data);
        assert_eq!(scratch.list("r/").await, ["r/k"]);
        scratch.delete("r/k").await;
        assert_fails(storage.get(&key).await, ErrorClass::NotFound, "get after delete");
        assert_fails(storage.head(&key).await, ErrorClass::NotFound, "head after delete");
        assert_eq!(scratch.list("r/").await, [""; 0]);
    }
    scratch.clean().await;
}
