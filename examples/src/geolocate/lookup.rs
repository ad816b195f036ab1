//! The steps of the pipeline, as they run on workers.

use std::sync::LazyLock;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::{Deserialize, Serialize};

/// One lookup to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lookup {
    /// The zip code.
    pub zip: String,
    /// Where the service is: `http://127.0.0.1:4000`.
    pub service: String,
    /// How long the service takes for it, in milliseconds.
    pub delay_ms: u64,
}

/// What the service knows of a zip code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// The zip code.
    pub zip: String,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// The city, in capitals as the service has it, until it is cleaned up.
    pub city: String,
    /// The state's two letters.
    pub state: String,
}

/// One for each function process: its connections are used again.
static CLIENT: LazyLock<Client<HttpConnector, Empty<Bytes>>> =
    LazyLock::new(|| Client::builder(TokioExecutor::new()).build_http());

/// Asks the service for one zip code, once more if it is not up to it. `None` where it knows nothing of it.
pub async fn geolocate(lookup: Lookup) -> Result<Option<Place>, String> {
    let Lookup { zip, service, delay_ms } = lookup;
    let uri = format!("{service}/zip/{zip}?delay_ms={delay_ms}");
    let uri: Uri = uri.parse().map_err(|error| format!("{uri}: {error}"))?;
    let mut answer = ask(&uri).await?;
    if answer.0 == StatusCode::SERVICE_UNAVAILABLE {
        answer = ask(&uri).await?;
    }
    match answer {
        (StatusCode::OK, body) => parse(zip, &body).map(Some),
        (StatusCode::NOT_FOUND, _) => Ok(None),
        (status, body) => Err(format!("{uri}: {status}: {}", body.trim())),
    }
}

async fn ask(uri: &Uri) -> Result<(StatusCode, String), String> {
    let answer = CLIENT.get(uri.clone()).await.map_err(|error| format!("{uri}: {error}"))?;
    let status = answer.status();
    let body = answer.into_body().collect().await.map_err(|error| format!("{uri}: {error}"))?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// Reads `latitude,longitude,city,state`.
fn parse(zip: String, line: &str) -> Result<Place, String> {
    let fields: Vec<&str> = line.trim_end().split(',').collect();
    let [latitude, longitude, city, state] = fields[..] else {
        return Err(format!("zip code {zip}: the service's answer {line:?} is not of four fields"));
    };
    let number = |text: &str| text.parse().map_err(|_| format!("zip code {zip}: {text:?} is no number"));
    let (latitude, longitude) = (number(latitude)?, number(longitude)?);
    Ok(Place { zip, latitude, longitude, city: city.to_owned(), state: state.to_owned() })
}

/// Drops what was not found, and writes names as they are written.
pub fn cleanup(found: Option<Place>) -> Option<Place> {
    let mut place = found?;
    let words = place.city.split(' ').map(|word| {
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| first.to_string() + &letters.as_str().to_lowercase())
    });
    place.city = words.collect::<Vec<_>>().join(" ");
    Some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_as_they_are() {
        let place = parse("00501".to_owned(), "40.9,-72.6,EAST HOLTSVILLE,NY\n").unwrap();
        assert_eq!(cleanup(Some(place)).unwrap().city, "East Holtsville");
        assert_eq!(cleanup(None), None);
    }

    #[test]
    fn a_malformed_answer_says_whose() {
        let text = parse("00501".to_owned(), "40.9,NY").unwrap_err();
        assert!(text.contains("00501") && text.contains("four fields"), "{text}");
    }
}
