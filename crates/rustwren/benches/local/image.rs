//! What of a small program travels to workers.

use std::path::PathBuf;

use rustwren_core::image::ProgramImage;

use crate::report::{Table, median, seconds, time};
use crate::{Outcome, Setting};

const MEGABYTE: f64 = 1e6;

/// `examples/squares`, if it has been built in the folder that this program was built in.
fn hello() -> std::io::Result<Option<PathBuf>> {
    let own = std::env::current_exe()?;
    let path = own.parent().and_then(|deps| deps.parent()).map(|release| release.join("examples/squares"));
    Ok(path.filter(|path| path.is_file()))
}

pub(crate) fn run(setting: &Setting) -> Outcome {
    let Some(path) = hello()? else {
        println!("\nimage: first `cargo build --release -p rustwren-examples --example squares`");
        return Ok(());
    };
    let table = Table::new(
        "image",
        "examples/squares with the release profile",
        &["executable", "packed", "of it", "of 3 MB", "packing takes"],
    );
    let executable = std::fs::metadata(&path)?.len() as f64;
    let mut times = Vec::new();
    let mut packed = 0.0;
    for _ in 0..if setting.quick { 1 } else { 5 } {
        // Without a cache folder it is packed each time.
        let (bytes, took) = time(|| ProgramImage::from_file(&path, None).and_then(|image| image.packed()));
        packed = bytes?.len() as f64;
        times.push(took);
    }
    table.row(&[
        format!("{:.2} MB", executable / MEGABYTE),
        format!("{:.2} MB", packed / MEGABYTE),
        format!("{:.2}", packed / executable),
        format!("{:.2}", packed / (3.0 * MEGABYTE)),
        seconds(median(times)),
    ]);
    Ok(())
}
