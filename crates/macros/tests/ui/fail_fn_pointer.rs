use rustwren::prelude::*;

fn plain(x: u64) -> u64 {
    x + 1
}

#[rustwren::main]
async fn main() -> rustwren::Result<()> {
    let executor = Executor::connect().await?;
    let chosen: fn(u64) -> u64 = plain;
    executor.map(chosen, 0..3).await?;
    Ok(())
}
