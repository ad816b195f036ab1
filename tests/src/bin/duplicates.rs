//! A program in which two `#[remote]` functions have one name.

use rustwren::Executor;

fn first(x: u64) -> u64 {
    #[rustwren::remote]
    fn same(x: u64) -> u64 {
        x
    }
    same(x)
}

fn second(x: u64) -> u64 {
    #[rustwren::remote]
    fn same(x: u64) -> u64 {
        x + 1
    }
    same(x)
}

#[rustwren::main]
async fn main() -> rustwren::Result<()> {
    println!("{}", first(1) + second(1));
    let executor = Executor::connect().await?;
    println!("{:?}", executor.map(first, 0..3).await?);
    Ok(())
}
