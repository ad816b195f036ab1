//! What `list` shows, and in which order.

use futures_util::stream::{self, StreamExt, TryStreamExt};
use rustwren_core::storage::{Key, Storage, StorageExt};

use super::Scratch;

/// More objects than any provider lists in one answer (S3 and GCS: 1 000; Azure: 5 000 is a page, and is not
/// reached: its pages can be made smaller by the backend's own tests).
const MANY: usize = 2_500;

/// A prefix with no objects lists nothing; so does one that no key can start with.
pub async fn empty_listings(storage: &dyn Storage) {
    let scratch = Scratch::new(storage);
    assert_eq!(scratch.list("").await, [""; 0]);
    scratch.put("d/k", "").await;
    for prefix in ["d/k/", "d/kk", "c", "d//", "/", "d/../d", "d/./k", "../", "d\\k", "\0", "d/k\n", "d/../"]
    {
        assert_eq!(scratch.list(prefix).await, [""; 0], "prefix {prefix:?}");
    }
    assert_eq!(scratch.list(&"x".repeat(2_000)).await, [""; 0]);
    scratch.delete("d/k").await;
    assert_eq!(scratch.list("").await, [""; 0]);
    assert_eq!(scratch.list("d").await, [""; 0]);
    scratch.clean().await;
}

/// A prefix is a plain string: it ends where it likes, inside a part too.
pub async fn listing_is_by_string_prefix(storage: &dyn Storage) {
    let scratch = Scratch::new(storage);
    let names = [
        "job",
        "job-1/in",
        "job/1",
        "job/1/in",
        "job/1/out",
        "job/10",
        "job/2/in",
        "jobs/1",
        "\u{e9}/\u{e8}",
    ];
    for name in names {
        scratch.put(name, "").await;
    }
    // Every prefix of every name, and one byte more.
    let ends = |name: &'static str| (0..=name.len()).filter(move |&end| name.is_char_boundary(end));
    let prefixes = names.iter().flat_map(|name| ends(name).map(move |end| name[..end].to_owned()));
    for prefix in prefixes.flat_map(|prefix| [format!("{prefix}/"), format!("{prefix}1"), prefix]) {
        let expected: Vec<_> = names.iter().copied().filter(|name| name.starts_with(&prefix)).collect();
        assert_eq!(scratch.list(&prefix).await, expected, "prefix {prefix:?}");
    }
    scratch.clean().await;
}

/// Keys come in ascending byte order, in which `-` and `.` come before `/` and digits after it.
pub async fn listing_is_in_byte_order(storage: &dyn Storage) {
    let scratch = Scratch::new(storage);
    let mut names: Vec<String> = Vec::new();
    for between in ["", "!", "%", "+", "-", ".", "/", "0", "A", "_", "a", "~", "\u{e9}", "\u{1f980}"] {
        for end in ["/z", "z", "", "/z/z"] {
            names.push(format!("a{between}{end}"));
        }
        // Around the lengths at which file names end.
        for len in [127, 128, 254, 255] {
            names.push(format!("{}{between}", "n".repeat(len)) + "z");
        }
    }
    names.retain(|name| Key::new(name.as_str()).is_ok());
    names.sort_unstable();
    names.dedup();
    for name in names.iter().rev() {
        scratch.put(name, "").await;
    }
    assert_eq!(scratch.list("").await, names);
    scratch.clean().await;
}

/// Thousands of objects, flat and in directories: each is listed once, in order, also by a caller that stops.
pub async fn long_listings(storage: &dyn Storage) {
    let scratch = Scratch::new(storage);
    // Written in an order that is not that of the keys.
    let name = |i: usize| {
        if i.is_multiple_of(2) { format!("flat/{i}") } else { format!("deep/{}/{i}", i % 37) }
    };
    let puts = (0..MANY).map(|i| scratch.put_owned(name(i * 7 % MANY)));
    stream::iter(puts).buffer_unordered(32).collect::<()>().await;
    let mut names: Vec<_> = (0..MANY).map(name).collect();
    names.sort_unstable();
    assert!(scratch.list("").await == names, "a listing of {MANY} objects is not complete and in order");
    let flat: Vec<_> = names.iter().filter(|name| name.starts_with("flat/1")).cloned().collect();
    assert!(scratch.list("flat/1").await == flat);
    let first: Vec<_> = storage.list(&scratch.name("")).take(3).try_collect().await.expect("list");
    let keys: Vec<_> = first.iter().map(|object| object.key.clone()).collect();
    assert_eq!(keys, [&names[0], &names[1], &names[2]].map(|name| scratch.key(name)));
    let removed = storage.delete_prefix(&scratch.name("flat/")).await.expect("delete_prefix");
    assert_eq!(removed, MANY / 2);
    assert_eq!(scratch.list("").await.len(), MANY - MANY / 2);
    scratch.clean().await;
}

impl Scratch<'_> {
    async fn put_owned(&self, name: String) {
        self.put(&name, "").await;
    }
}
