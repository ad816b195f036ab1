use rustwren::prelude::*;

#[rustwren::main]
async fn main() -> rustwren::Result<()> {
    let executor = Executor::connect().await?;
    let offset = 5_u64;
    executor.map(move |x: u64| x + offset, 0..3).await?;
    Ok(())
}
