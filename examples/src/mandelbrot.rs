//! The Mandelbrot set, a band of rows at a time, as a PNG.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

/// The part of the plane to draw, and how finely.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// Pixels per row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Real part of the middle.
    pub center_re: f64,
    /// Imaginary part of the middle.
    pub center_im: f64,
    /// How much of the real axis the picture spans.
    pub span: f64,
    /// Steps after which a point counts as belonging to the set.
    pub max_steps: u32,
}

impl View {
    /// The whole set, with so many pixels.
    pub fn whole(width: u32, height: u32) -> Self {
        Self { width, height, center_re: -0.65, center_im: 0.0, span: 3.2, max_steps: 1_000 }
    }

    fn point(&self, x: u32, y: u32) -> (f64, f64) {
        let scale = self.span / f64::from(self.width.max(1));
        (
            self.center_re + (f64::from(x) + 0.5 - f64::from(self.width) / 2.0) * scale,
            self.center_im + (f64::from(y) + 0.5 - f64::from(self.height) / 2.0) * scale,
        )
    }
}

/// One task: some rows of a view.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Band {
    /// The picture.
    pub view: View,
    /// The first row.
    pub top: u32,
    /// How many rows.
    pub rows: u32,
}

/// A drawn band.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pixels {
    /// The first row.
    pub top: u32,
    /// Red, green, blue for each pixel, row by row.
    pub rgb: Vec<u8>,
}

/// Cuts a view into bands of so many rows, the last one smaller if need be.
pub fn bands(view: View, rows: u32) -> Vec<Band> {
    let rows = rows.max(1);
    (0..view.height)
        .step_by(rows as usize)
        .map(|top| Band { view, top, rows: rows.min(view.height - top) })
        .collect()
}

/// Steps until the point is known to escape, smoothed; `None` if it does not within the limit.
pub fn escape(re: f64, im: f64, max_steps: u32) -> Option<f64> {
    let (mut x, mut y) = (0.0_f64, 0.0_f64);
    for step in 0..max_steps {
        let (x2, y2) = (x * x, y * y);
        // A radius well beyond 2 makes the smoothing exact enough for the eye.
        if x2 + y2 > 256.0 {
            return Some(f64::from(step) + 1.0 - ((x2 + y2).ln() / 2.0).log2());
        }
        y = 2.0 * x * y + im;
        x = x2 - y2 + re;
    }
    None
}

fn color(steps: Option<f64>) -> [u8; 3] {
    let Some(steps) = steps else { return [0, 0, 0] };
    let wave = |phase: f64| (127.5 - 127.5 * (steps.max(0.0).sqrt() * 0.9 + phase).cos()) as u8;
    [wave(2.2), wave(1.4), wave(0.6)]
}

/// Draws one band.
pub fn draw(band: Band) -> Pixels {
    let mut rgb = Vec::with_capacity(band.view.width as usize * band.rows as usize * 3);
    for y in band.top..band.top + band.rows {
        for x in 0..band.view.width {
            let (re, im) = band.view.point(x, y);
            rgb.extend(color(escape(re, im, band.view.max_steps)));
        }
    }
    Pixels { top: band.top, rgb }
}

/// A picture to which bands are added in any order.
#[derive(Debug)]
pub struct Picture {
    view: View,
    rgb: Vec<u8>,
}

impl Picture {
    /// A black picture.
    pub fn new(view: View) -> Self {
        Self { view, rgb: vec![0; view.width as usize * view.height as usize * 3] }
    }

    /// Puts a band where it belongs. What would lie outside of the picture is left out.
    pub fn add(&mut self, band: &Pixels) {
        let start = band.top as usize * self.view.width as usize * 3;
        for (pixel, value) in self.rgb.iter_mut().skip(start).zip(&band.rgb) {
            *pixel = *value;
        }
    }

    /// Writes the picture as a PNG. Fails when the picture is empty or the writer fails.
    pub fn write_png(&self, out: impl Write) -> io::Result<()> {
        let mut encoder = png::Encoder::new(out, self.view.width, self.view.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.rgb)?;
        Ok(writer.finish()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_inside_stay_and_points_outside_escape() {
        assert_eq!(escape(0.0, 0.0, 500), None);
        assert_eq!(escape(-1.0, 0.0, 500), None);
        assert!(escape(1.0, 1.0, 500).unwrap() < 5.0);
        assert!(escape(0.26, 0.0, 500).unwrap() > escape(0.5, 0.0, 500).unwrap());
    }

    #[test]
    fn bands_in_any_order_make_the_same_png() {
        let view = View { max_steps: 50, ..View::whole(31, 17) };
        let mut whole = Picture::new(view);
        whole.add(&draw(Band { view, top: 0, rows: 17 }));
        let mut pieces = Picture::new(view);
        let bands = bands(view, 5);
        assert_eq!(bands.iter().map(|b| b.rows).collect::<Vec<_>>(), [5, 5, 5, 2]);
        for band in bands.into_iter().rev() {
            pieces.add(&draw(band));
        }
        let (mut a, mut b) = (Vec::new(), Vec::new());
        whole.write_png(&mut a).unwrap();
        pieces.write_png(&mut b).unwrap();
        assert_eq!(a, b);

        let mut reader = png::Decoder::new(io::Cursor::new(a)).read_info().unwrap();
        let mut decoded = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut decoded).unwrap();
        assert_eq!((info.width, info.height), (31, 17));
        assert_eq!(decoded, whole.rgb);
        assert!(decoded.iter().any(|&v| v != 0));
    }

    #[test]
    fn an_empty_picture_is_an_error() {
        assert!(Picture::new(View::whole(0, 0)).write_png(Vec::new()).is_err());
        assert!(bands(View::whole(4, 0), 3).is_empty());
    }
}
