//! The smallest program: a closure over a range, on every core of this machine or wherever `rustwren.toml` says.
//!
//! ```text
//! $ cargo run --release -p rustwren-examples --example squares
//! the squares of 0 to 999 add up to 332833500
//! ```

use rustwren::prelude::*;

#[rustwren::main]
async fn main() -> rustwren::Result<()> {
    let executor = Executor::connect().await?;
    let squares = executor.map(|x: u64| x * x, 0..1_000).label("squares").await?;
    println!("the squares of 0 to 999 add up to {}", squares.iter().sum::<u64>());
    Ok(())
}
