//! The table of published prices, `config/pricing.toml`, and the user's corrections to it.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::Price;
use crate::config::units::parse_duration;
use crate::config::{KeyDoc, Kind, Settings};
use crate::error::{Error, ErrorKind, Result};

/// The table that RustWren is built with.
const BUILT_IN: &str = include_str!("../../../../config/pricing.toml");

/// The key of `[compute]` that names a file with corrections, for backends whose workers have published prices.
pub const PRICES: KeyDoc = KeyDoc::optional(
    "prices",
    Kind::Path,
    "the prices that RustWren knows",
    "pricing.toml",
    "A file with prices that go before those that RustWren knows, in the form of its `config/pricing.toml`.",
);

/// Published prices of compute, one row for each provider and architecture.
#[derive(Debug, Clone, PartialEq)]
pub struct PriceTable {
    rows: Vec<PriceRow>,
}

/// What one provider charges for workers of one architecture.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceRow {
    /// The backend's name.
    pub provider: String,
    /// `x86_64` or `aarch64`.
    pub architecture: String,
    /// Where the price holds.
    pub region: String,
    /// The day on which the price was read: `2026-08-21`.
    pub as_of: String,
    /// Where it was read.
    pub source: String,
    #[serde(default, deserialize_with = "amount")]
    per_gb_second: f64,
    #[serde(default, deserialize_with = "amount")]
    per_vcpu_second: f64,
    #[serde(default, deserialize_with = "amount")]
    per_million_requests: f64,
    #[serde(default, deserialize_with = "duration")]
    granularity: Duration,
    #[serde(default, deserialize_with = "duration")]
    minimum: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    compute: Vec<PriceRow>,
}

impl PriceTable {
    /// The prices that RustWren is built with.
    pub fn built_in() -> Result<Self> {
        Self::parse(BUILT_IN, "the table of prices that RustWren is built with")
    }

    /// The prices that hold for a backend: those of the file that its settings name as [`PRICES`], and behind them those
    /// that RustWren is built with.
    pub fn of_settings(settings: &Settings) -> Result<Self> {
        let built_in = Self::built_in()?;
        let Some(path) = settings.get_path(PRICES.name)? else { return Ok(built_in) };
        let unreadable = |error| {
            let must = format!("must name a file that can be read, and {} cannot", path.display());
            settings.error(PRICES.name, must).with_source(error)
        };
        Self::read(&path, unreadable).map(|own| own.before(built_in))
    }

    fn read(path: &Path, unreadable: impl FnOnce(std::io::Error) -> Error) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        Self::parse(&text, &path.display().to_string())
    }

    fn parse(text: &str, name: &str) -> Result<Self> {
        let file: File = toml::from_str(text).map_err(|error| {
            Error::new(ErrorKind::Config, format!("{name} is not a table of prices"))
                .with_source(error)
                .with_hint("`config/pricing.toml` in RustWren's sources shows the form")
        })?;
        Ok(Self { rows: file.compute })
    }

    fn before(mut self, other: Self) -> Self {
        self.rows.extend(other.rows);
        self
    }

    /// All rows; of several for the same workers the first counts.
    pub fn rows(&self) -> &[PriceRow] {
        &self.rows
    }

    /// What a worker of so much memory, in MiB, and so many virtual processors costs; `None` where that is not known.
    pub fn price(&self, provider: &str, architecture: &str, memory_mib: u64, vcpus: f64) -> Option<Price> {
        let row =
            self.rows.iter().find(|row| row.provider == provider && row.architecture == architecture)?;
        Some(Price {
            per_gb_second: row.per_gb_second,
            per_vcpu_second: row.per_vcpu_second,
            per_request: row.per_million_requests / 1e6,
            granularity: row.granularity,
            minimum: row.minimum,
            memory_gb: memory_mib as f64 / 1024.0,
            vcpus,
        })
    }
}

/// Not negative, and a number.
fn amount<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let amount = f64::deserialize(deserializer)?;
    if amount.is_finite() && amount >= 0.0 {
        Ok(amount)
    } else {
        Err(serde::de::Error::custom(format!("a price is at least 0, not {amount}")))
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).map_err(|why| serde::de::Error::custom(format!("{text:?} is no duration: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BackendKeys, Section};
    use crate::price::Usd;

    const S: Duration = Duration::from_secs(1);
    const KEYS: BackendKeys = BackendKeys { name: "priced", section: Section::Compute, keys: &[PRICES] };

    #[test]
    fn every_row_says_where_and_when_it_was_read() {
        let table = PriceTable::built_in().unwrap();
        for row in table.rows() {
            let dated = row.as_of.split('-').map(|part| part.parse::<u32>().unwrap()).collect::<Vec<_>>();
            assert!(matches!(dated[..], [2026..=2099, 1..=12, 1..=31]), "{row:?}");
            assert!(row.source.len() > 20 && !row.region.is_empty(), "{row:?}");
            let price = table.price(&row.provider, &row.architecture, 1024, 1.0).unwrap();
            // A call that takes a second costs some ten-thousandths of a cent.
            let cost = price.cost(S).nanos();
            assert!((5_000..100_000).contains(&cost), "{row:?}: {cost}");
        }
        let workers: std::collections::BTreeSet<_> =
            table.rows().iter().map(|row| (&row.provider, &row.architecture)).collect();
        assert_eq!(workers.len(), table.rows().len(), "two rows for the same workers");
    }

    #[test]
    fn published_prices() {
        let table = PriceTable::built_in().unwrap();
        let cost = |provider, architecture, memory, vcpus, time| {
            table.price(provider, architecture, memory, vcpus).unwrap().cost(time).nanos()
        };
        // 2 GB for a second, and a call.
        assert_eq!(cost("aws", "x86_64", 2048, 1.0, S), 33_334 + 200);
        assert_eq!(cost("aws", "aarch64", 2048, 1.0, S), 26_667 + 200);
        // 1.2 s by tenths; 2 processors and 4 GiB.
        assert_eq!(cost("gcp", "x86_64", 4096, 2.0, Duration::from_millis(1101)), 69_600 + 400);
        // At least a second.
        assert_eq!(cost("azure", "x86_64", 512, 1.0, Duration::from_millis(10)), 13_000 + 400);
        assert_eq!(table.price("local", "x86_64", 1024, 1.0), None);
        assert_eq!(table.price("azure", "aarch64", 1024, 1.0), None);
    }

    #[test]
    fn a_row_of_the_users_goes_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mine.toml");
        let settings = || {
            let pairs = [(PRICES.name, path.to_str().unwrap())];
            Settings::of_program(&KEYS, "/cache", pairs).unwrap()
        };
        let error = PriceTable::of_settings(&settings()).unwrap_err();
        assert!(error.to_string().contains("compute.prices") && error.kind() == ErrorKind::Config, "{error}");
        let row = |more: &str| {
            format!(
                "[[compute]]\nprovider = \"aws\"\narchitecture = \"x86_64\"\nregion = \"eu-north-1\"\n\
                 as_of = \"2026-11-01\"\nsource = \"my bill\"\n{more}\n"
            )
        };
        std::fs::write(&path, row("per_gb_second = 1.0")).unwrap();
        let table = PriceTable::of_settings(&settings()).unwrap();
        let price = |architecture| table.price("aws", architecture, 1024, 1.0).unwrap().cost(S);
        assert_eq!(price("x86_64"), Usd::saturating(1.0));
        assert_eq!(price("aarch64").nanos(), 13_334 + 200);
        for wrong in ["per_gb_second = -1.0", "granularity = \"soon\"", "per_gb = 1.0"] {
            std::fs::write(&path, row(wrong)).unwrap();
            let error = PriceTable::of_settings(&settings()).unwrap_err().to_string();
            assert!(error.contains("mine.toml is not a table of prices"), "{error}");
        }
        let none = Settings::of_program::<&str>(&KEYS, "/cache", []).unwrap();
        assert_eq!(PriceTable::of_settings(&none).unwrap(), PriceTable::built_in().unwrap());
    }
}
