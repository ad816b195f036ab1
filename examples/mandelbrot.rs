//! The Mandelbrot set as a PNG. Bands of rows are the elements; those that cross the set take far longer than the
//! others, and each is put into the picture as it arrives.
//!
//! ```text
//! $ cargo run --release -p rustwren-examples --example mandelbrot [WIDTH] [HEIGHT] [FILE]
//! mandelbrot.png holds 1920 by 1080 pixels
//! ```

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;

use rustwren::prelude::*;
use rustwren_examples::args;
use rustwren_examples::mandelbrot::{Picture, View, bands, draw};

const ROWS_PER_BAND: u32 = 8;

/// Pixels in a picture beyond which its memory, 3 bytes each, is surely not what was meant.
const MAX_PIXELS: u64 = 1 << 30;

#[rustwren::main]
async fn main() -> rustwren::Result<()> {
    let (view, file) =
        options().map_err(|message| rustwren::Error::new(rustwren::ErrorKind::Config, message))?;
    let executor = Executor::connect().await?;
    let mut job = executor.map(draw, bands(view, ROWS_PER_BAND)).label("mandelbrot").spawn().await?;
    let mut picture = Picture::new(view);
    while let Some(band) = job.next().await {
        let (_, pixels) = band?;
        picture.add(&pixels);
    }
    File::create(&file).and_then(|out| picture.write_png(BufWriter::new(out))).map_err(|error| {
        let message = format!("{} could not be written: {error}", file.display());
        rustwren::Error::new(rustwren::ErrorKind::Config, message)
            .with_hint("name another file as the third argument")
    })?;
    println!("{} holds {} by {} pixels", file.display(), view.width, view.height);
    Ok(())
}

fn options() -> Result<(View, PathBuf), String> {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let width = args::parse(&args, 0, "WIDTH", 1_920)?;
    let height = args::parse(&args, 1, "HEIGHT", 1_080)?;
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 || pixels > MAX_PIXELS {
        return Err(format!(
            "WIDTH and HEIGHT: {width} by {height} pixels; between 1 and {MAX_PIXELS} are possible"
        ));
    }
    let file = args.get(2).map_or_else(|| PathBuf::from("mandelbrot.png"), PathBuf::from);
    Ok((View::whole(width, height), file))
}
