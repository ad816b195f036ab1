use rustwren::prelude::*;

struct Tile(u64);

#[rustwren::main]
async fn main() -> rustwren::Result<()> {
    let executor = Executor::connect().await?;
    executor.map(|tile: Tile| tile.0, vec![Tile(1)]).await?;
    Ok(())
}
