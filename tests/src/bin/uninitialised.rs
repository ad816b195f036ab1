//! A program that has forgotten `rustwren::init()`. The file named by its argument counts its starts.

use rustwren::Executor;
use rustwren_tests::note;

#[tokio::main(flavor = "current_thread")]
async fn main() -> rustwren::Result<()> {
    note("started");
    let executor = Executor::connect().await?;
    println!("{}", executor.call(|x: u64| x, 1).await?);
    Ok(())
}
