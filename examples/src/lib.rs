//! What the example programs compute, apart from how it is spread over workers: each module belongs to the example
//! of its name and can be tested without starting a job.

pub mod args;
pub mod census;
pub mod flops;
pub mod geolocate;
pub mod mandelbrot;
pub mod pi;
pub mod table;
