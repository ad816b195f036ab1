//! Looking zip codes up at a small HTTP service, which this module has as well.

mod lookup;
mod service;

pub use lookup::{Lookup, Place, cleanup, geolocate};
pub use service::{Service, zip_codes};
