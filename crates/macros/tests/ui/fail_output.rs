use rustwren::prelude::*;

struct Picture(u64);

#[rustwren::main]
async fn main() -> rustwren::Result<()> {
    let executor = Executor::connect().await?;
    let pictures = executor.map(|x: u64| Picture(x), 0..3);
    Ok(())
}
