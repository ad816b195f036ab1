use rustwren::remote;

#[remote]
fn generic<T: Clone>(x: T) -> u64 {
    0
}

#[remote]
fn three(a: u64, b: u64, c: u64) -> u64 {
    a + b + c
}

#[remote]
fn nothing() -> u64 {
    0
}

#[remote]
fn borrows(x: &str) -> usize {
    x.len()
}

struct Counter;

impl Counter {
    #[remote]
    fn method(&self, x: u64) -> u64 {
        x
    }
}

#[remote]
struct NotAFunction;

fn main() {}
