//! What a client and the agent that it starts say to each other: an order through the agent's stdin, and one line of
//! answer through its stdout.
//!
//! The two may be different builds: whoever continues a job that another build began starts that build's image. So
//! the order is TOML, whose unknown keys are passed over, and the invocation behind it has a version of its own. (Not
//! JSON: the usual crate for it makes `assert_eq!(number, iterator.sum())` ambiguous in every program that links it.)

use std::ffi::OsString;
use std::time::Duration;

use rustwren_core::error::BackendError;
use rustwren_core::invoker::Invocation;
use rustwren_core::protocol::invocation;
use rustwren_runtime::config::ProcessConfig;
use serde::{Deserialize, Serialize};

/// The only argument of an agent. A program whose `main` reads its arguments before it reaches `rustwren::init()`
/// refuses to start with it instead of running the user's `main` a second time.
pub(crate) const ARGUMENT: &str = "--rustwren-agent";

/// The version of the order. Another is refused.
const VERSION: u32 = 1;

/// How an agent is to run its invocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    version: u32,
    /// `[compute]` of the client.
    pub(crate) workers: usize,
    pub(crate) memory_limit: Option<u64>,
    pub(crate) stack_size: u64,
    pub(crate) start_timeout: Duration,
    pub(crate) max_duration: Option<Duration>,
    pub(crate) pass_env: Vec<String>,
    /// The file that the agent's stderr is, if it is one: removed if nothing was written to it.
    pub(crate) log: Option<OsString>,
}

impl Order {
    pub(crate) fn new(config: &ProcessConfig) -> Self {
        Self {
            version: VERSION,
            workers: config.workers,
            memory_limit: config.memory_limit,
            stack_size: config.stack_size as u64,
            start_timeout: config.start_timeout,
            max_duration: config.max_duration,
            pass_env: config.pass_env.clone(),
            log: None,
        }
    }

    /// The bytes for the agent's stdin: both parts with their lengths, so that a client that dies while it writes is
    /// told from one that is done. The payloads of the invocation are to be inline: an agent has no storage.
    pub(crate) fn encode(&self, invocation: &Invocation) -> Result<Vec<u8>, String> {
        let head = toml::to_string(self).map_err(|error| error.to_string())?;
        let body = invocation::encode(invocation).map_err(|error| error.to_string())?;
        let mut bytes = Vec::with_capacity(16 + head.len() + body.len());
        for part in [head.as_bytes(), &body] {
            bytes.extend((part.len() as u64).to_le_bytes());
            bytes.extend(part);
        }
        Ok(bytes)
    }

    /// The order and its invocation, or what is wrong with them.
    pub(crate) fn decode(mut bytes: &[u8]) -> Result<(Self, Invocation), String> {
        let mut part = || {
            let (len, rest) = bytes.split_first_chunk::<8>()?;
            let (part, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*len)).ok()?)?;
            bytes = rest;
            Some(part)
        };
        let (Some(head), Some(body)) = (part(), part()) else {
            return Err("the order ends early: whoever sent it is gone".to_owned());
        };
        let order: Self = toml::from_slice(head).map_err(|error| format!("not an order: {error}"))?;
        if order.version != VERSION {
            let version = order.version;
            return Err(format!("an order of version {version}, and this program reads version {VERSION}"));
        }
        let with_hint = |error: BackendError| match error.hint() {
            Some(hint) => format!("{error} ({hint})"),
            None => error.to_string(),
        };
        Ok((order, invocation::decode(body).map_err(with_hint)?))
    }
}

/// What an agent says to its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The invocation is the agent's from here on.
    Taken,
    /// It will not be run, because of this.
    Refused(String),
}

const TAKEN: &str = "taken";
const REFUSED: &str = "refused: ";
/// Stands for the end of a line within one.
const LINE_END: char = '\u{2028}';

impl Answer {
    /// A line of its own, whatever the program has printed before it became an agent.
    pub(crate) fn line(&self, word: &str) -> String {
        match self {
            Self::Taken => format!("\nrustwren-agent {word} {TAKEN}\n"),
            Self::Refused(why) => {
                let why = why.replace('\n', &LINE_END.to_string());
                format!("\nrustwren-agent {word} {REFUSED}{why}\n")
            }
        }
    }

    /// The answer among the lines, if it is there yet.
    pub(crate) fn find(output: &[u8], word: &str) -> Option<Self> {
        let begin = format!("rustwren-agent {word} ");
        let whole = &output[..=output.iter().rposition(|&byte| byte == b'\n')?];
        let line = whole.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(begin.as_bytes()))?;
        if line == TAKEN.as_bytes() {
            return Some(Self::Taken);
        }
        let why = String::from_utf8_lossy(line);
        Some(Self::Refused(why.strip_prefix(REFUSED).unwrap_or(&why).replace(LINE_END, "\n")))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use rustwren_core::config::Settings;
    use rustwren_core::entry::Call;
    use rustwren_core::image::ImageId;
    use rustwren_core::invoker::{JobSpec, Payload};

    use super::*;
    use crate::config::COMPUTE;

    fn order() -> Order {
        let settings =
            [("workers", "3"), ("memory_limit", "1GiB"), ("max_duration", "1s"), ("pass_env", "A,B_*")];
        let settings = Settings::of_program(&COMPUTE, "/cache", settings).unwrap();
        let log = std::os::unix::ffi::OsStringExt::from_vec(b"/cache/\xff.log".to_vec());
        Order { log: Some(log), ..Order::new(&ProcessConfig::from_settings(&settings).unwrap()) }
    }

    fn invocation() -> Invocation {
        let job = JobSpec::named("job", ImageId([1; 32]), "f", Call::Map);
        Invocation::first(Arc::new(job), 1, 1, Payload::Inline(vec![Bytes::from_static(b"\x00")]))
    }

    #[test]
    fn an_order_comes_back_and_part_of_one_does_not() {
        let bytes = order().encode(&invocation()).unwrap();
        let (taken, with) = Order::decode(&bytes).unwrap();
        assert_eq!((taken, with.job), (order(), invocation().job));
        for cut in 0..bytes.len() {
            let error = Order::decode(&bytes[..cut]).unwrap_err();
            assert!(error.contains("ends early"), "{cut}: {error}");
        }
    }

    #[test]
    fn orders_of_other_times() {
        let order = Order { version: 2, ..order() };
        let error = Order::decode(&order.encode(&invocation()).unwrap()).unwrap_err();
        assert!(error.contains("version 2"), "{error}");
        // A field more is no trouble.
        let order = super::tests::order();
        let head = format!("later = 1\n{}\n[even]\nlater = true\n", toml::to_string(&order).unwrap());
        assert_eq!(toml::from_str::<Order>(&head).unwrap(), order);
    }

    #[test]
    fn an_answer_is_found_among_other_output() {
        for answer in [Answer::Taken, Answer::Refused("no\n\"such\" thing".to_owned())] {
            let mut output = b"a banner \xff without an end".to_vec();
            assert_eq!(Answer::find(&output, "word"), None);
            output.extend(answer.line("other").as_bytes());
            assert_eq!(Answer::find(&output, "word"), None);
            let line = answer.line("word");
            output.extend(line.as_bytes());
            assert_eq!(Answer::find(&output[..output.len() - 1], "word"), None, "its line is not over");
            output.extend(b"more");
            assert_eq!(Answer::find(&output, "word"), Some(answer));
        }
    }
}
