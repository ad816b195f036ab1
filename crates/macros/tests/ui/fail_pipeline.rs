use rustwren::prelude::*;

fn length(word: String) -> usize {
    word.len()
}

fn shout(words: Vec<String>) -> Vec<String> {
    words.into_iter().map(|word| word.to_uppercase()).collect()
}

#[rustwren::main]
async fn main() -> rustwren::Result<()> {
    let executor = Executor::connect().await?;
    // Lengths cannot be shouted.
    Pipeline::new(["a".to_owned()]).map(length).parallel(shout).run(&executor).await?;
    Ok(())
}
