//! One element of a job, run again by itself where a person can watch: what `rustwren repro` starts.
//!
//! The program is started with [`env::RERUN`] naming a file that holds a [`Rerun`]. It is then a function process as
//! any other, with three differences: it is its own supervisor, on a thread that speaks the worker protocol with it
//! over a socket pair; its stdout and stderr stay where they are; and it stays in the terminal's process group. So a
//! debugger can start it like any program, and what it runs, it runs as a worker does.
//!
//! What came of the element is left in a file beside the first, see [`Verdict`]. A process that ends without having
//! said so is judged by how it ended.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::function::Resolve;
use super::serve::{self, bad};
use crate::failure::{FailureKind, TaskFailure};
use crate::image::ProgramImage;
use crate::invoker::JobSpec;
use crate::protocol::frame::FrameBuffer;
use crate::protocol::message::{Down, MAX_RECORDS, Run, Up};
use crate::protocol::records::{Malformed, ResultTag, append_input, split_result};
use crate::raw::page::SharedPage;
use crate::{codec, env};

/// The first bytes of both files: what they are and in which version.
const MAGIC: &[u8] = b"rustwren rerun 1\n";
/// Plain functions get so much more than their limit, so that async ones are ended by their own process first.
const GRACE: Duration = Duration::from_millis(20);
/// How long the end of the socket may be waited for where nothing limits the element.
const NO_LIMIT: Duration = Duration::from_hours(24 * 365);

/// One element of a job, with all that a process needs to run it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rerun {
    /// Its job. `shared` is not looked at; `task_timeout` is how long the element may run this time.
    pub job: JobSpec,
    /// The encoded value of `map_with`; empty for functions without one.
    pub shared: Bytes,
    /// The encoded input.
    pub input: Bytes,
    /// Its position in the job's inputs.
    pub index: u64,
    /// Which attempt it believes to be, from 1.
    pub attempt: u32,
    /// Bytes of data the process may use.
    pub memory_limit: Option<u64>,
    /// Bytes of stack of the thread that runs it; 0 for the default.
    pub stack_size: u64,
    /// Whether the process itself says on stderr what came of it: for debuggers.
    pub announce: bool,
}

/// What came of an element, as far as its process could tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// It was begun. What follows is for the process's exit status to tell.
    Begun,
    /// It has this encoded output.
    Output(Bytes),
    /// It failed.
    Failed(TaskFailure),
    /// The program has no such function, or cannot take its shared value: the reason.
    Refused(String),
}

impl Rerun {
    /// Writes the file that [`env::RERUN`] names, readable for this user alone, and removes the verdict of an
    /// earlier run.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        match std::fs::remove_file(verdict_path(path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        write(path, self)
    }
}

impl Verdict {
    /// What a process that was started with this file has left. `None`: it never reached `rustwren::init()`.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        match read(&verdict_path(path)) {
            Ok(verdict) => Ok(Some(verdict)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The exit code of the process that says so.
    fn exit_code(&self) -> i32 {
        match self {
            Self::Output(_) => 0,
            Self::Failed(_) | Self::Begun => 1,
            Self::Refused(_) => 2,
        }
    }
}

/// Where the verdict on a file's element is left.
pub fn verdict_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".verdict");
    name.into()
}

/// Written beside its place and renamed: a reader finds all of it or nothing.
fn write<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let mut bytes = MAGIC.to_vec();
    codec::encode(value, &mut bytes).map_err(io::Error::other)?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(&bytes)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    let bytes = std::fs::read(path)?;
    let body = bytes.strip_prefix(MAGIC).ok_or_else(|| {
        bad("it is of another version of RustWren: use the `rustwren` command of the version that the program is \
             built with")
    })?;
    codec::decode(body).map_err(|error| bad(error.to_string()))
}

/// Runs the element that [`env::RERUN`] names, and ends the process. Called by `rustwren::init()`, before the program
/// does anything else.
pub fn serve(resolve: Resolve) -> ! {
    match begin(resolve) {
        Ok(never) => match never {},
        Err(error) => serve::fail(&error),
    }
}

fn begin(resolve: Resolve) -> io::Result<std::convert::Infallible> {
    let path = PathBuf::from(serve::take_variable(env::RERUN)?);
    let rerun: Rerun = read(&path).map_err(|error| bad(format!("{}: {error}", path.display())))?;
    // Not taken from the file: what is sound to call is decided by what this program is.
    let image = ProgramImage::of_this_program(None).map_err(io::Error::other)?.id();
    // As workers have it; a task that reads its stdin must not find a terminal there.
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    let (ours, theirs) = UnixStream::pair()?;
    let (page, _page_file) = SharedPage::create()?;
    page.set_limits(rerun.memory_limit.unwrap_or(0), rerun.stack_size);
    write(&verdict_path(&path), &Verdict::Begun)
        .map_err(|error| bad(format!("{}: {error}", verdict_path(&path).display())))?;
    let host = serve::host(page, theirs.into())?;
    serve::start(host, image, resolve)?;
    let supervisor = std::thread::Builder::new().name("supervisor".to_owned());
    supervisor.spawn(move || {
        // Open to the end: without it this process takes itself for abandoned.
        let mut socket = ours;
        let verdict = supervise(&mut socket, &rerun).unwrap_or_else(|error| {
            Verdict::Failed(TaskFailure::new(FailureKind::Connection, error.to_string()))
        });
        end(&path, &rerun, &verdict);
    })?;
    serve::read(host)
}

/// Leaves the verdict and ends the process, whatever its other threads are doing.
fn end(path: &Path, rerun: &Rerun, verdict: &Verdict) -> ! {
    if rerun.announce {
        let what = match verdict {
            Verdict::Output(bytes) => format!("succeeded, with an output of {} bytes", bytes.len()),
            Verdict::Failed(failure) => failure.to_string(),
            Verdict::Refused(why) => format!("was not run: {why}"),
            Verdict::Begun => "was not run".to_owned(),
        };
        eprintln!("rustwren: task {} of job {} {what}", rerun.index, rerun.job.label);
    }
    if let Err(error) = write(&verdict_path(path), verdict) {
        eprintln!("rustwren: {}: {error}", verdict_path(path).display());
    }
    if matches!(verdict, Verdict::Failed(TaskFailure { kind: FailureKind::TimedOut(_), .. })) {
        // It still runs: nothing that is done at an orderly exit is safe beside it.
        if let Err(error) =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
        {
            eprintln!("rustwren: the process cannot be ended: {error}");
        }
    }
    serve::exit(verdict.exit_code())
}

/// The other end of the worker protocol: sends the element, waits for what comes of it.
fn supervise(socket: &mut UnixStream, rerun: &Rerun) -> io::Result<Verdict> {
    let mut out = Vec::new();
    Down::append_job(&mut out, 0, &rerun.job, rerun.shared.len()).map_err(io::Error::other)?;
    out.extend_from_slice(&rerun.shared);
    let mut inputs = Vec::new();
    append_input(&mut inputs, |out| {
        out.extend_from_slice(&rerun.input);
        Ok::<(), Malformed>(())
    })
    .map_err(io::Error::other)?;
    let run = Run {
        call: 1,
        job: 0,
        first: rerun.index,
        attempt: rerun.attempt,
        count: 1,
        concurrency: 1,
        inputs: Bytes::new(),
    };
    Down::append_run(&mut out, &run, inputs.len());
    out.extend_from_slice(&inputs);
    socket.write_all(&out)?;

    let limit = rerun.job.task_timeout;
    let begun = Instant::now();
    let mut frames = FrameBuffer::new();
    let mut buffer = vec![0; 64 << 10];
    let mut verdict = None;
    loop {
        while let Some(frame) = frames.next(Up::limit).map_err(io::Error::other)? {
            match Up::decode(frame).map_err(io::Error::other)? {
                Up::Results { records, .. } => verdict = Some(judge(&records).map_err(io::Error::other)?),
                Up::Refused { message, .. } => return Ok(Verdict::Refused(message)),
                Up::Done { .. } => return verdict.ok_or_else(|| bad("the call ended without a result")),
                // Its output went past the supervisor.
                Up::Hello(_) | Up::Log { .. } | Up::Returned { .. } => {}
            }
        }
        let left = limit.map_or(NO_LIMIT, |limit| (limit + GRACE).saturating_sub(begun.elapsed()));
        if let (Some(limit), true) = (limit, left.is_zero()) {
            return Ok(Verdict::Failed(TaskFailure::new(FailureKind::TimedOut(limit), "")));
        }
        socket.set_read_timeout(Some(left))?;
        match socket.read(&mut buffer) {
            Ok(0) => return Err(bad("the connection within the process ended")),
            Ok(read) => frames.extend(&buffer[..read]),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
                ) => {}
            Err(error) => return Err(error),
        }
    }
}

fn judge(records: &Bytes) -> Result<Verdict, Malformed> {
    let (tag, body, _) = split_result(records)?;
    debug_assert!(body.len() <= MAX_RECORDS, "a frame holds it");
    match tag {
        ResultTag::Output => Ok(Verdict::Output(records.slice_ref(body))),
        ResultTag::Failure => {
            let failure = codec::decode(body).map_err(|_| Malformed("a failure that does not decode"))?;
            Ok(Verdict::Failed(failure))
        }
        ResultTag::Stored => Err(Malformed("a stored result where an inline one was expected")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Call, Entry, Target};
    use crate::image::ImageId;
    use crate::protocol::records::append_result;

    fn rerun() -> Rerun {
        let target = Target::Named { name: "a::b".to_owned(), call: Call::Map };
        Rerun {
            job: JobSpec {
                id: "j".to_owned(),
                label: "render".to_owned(),
                entry: Entry { image: ImageId([1; 32]), target },
                shared: None,
                task_timeout: Some(Duration::from_millis(30)),
                concurrency: 1,
            },
            shared: Bytes::from_static(b"shared"),
            input: Bytes::from_static(b"input"),
            index: 13,
            attempt: 2,
            memory_limit: None,
            stack_size: 0,
            announce: false,
        }
    }

    #[test]
    fn files_come_back_and_an_old_verdict_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("task");
        rerun().write(&path).unwrap();
        assert_eq!(read::<Rerun>(&path).unwrap(), rerun());
        assert_eq!(Verdict::read(&path).unwrap(), None);
        let verdict = Verdict::Output(Bytes::from_static(b"output"));
        write(&verdict_path(&path), &verdict).unwrap();
        assert_eq!(Verdict::read(&path).unwrap(), Some(verdict));
        rerun().write(&path).unwrap();
        assert_eq!(Verdict::read(&path).unwrap(), None);
    }

    #[test]
    fn files_of_other_versions_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("task");
        for (content, said) in
            [(&b"rustwren rerun 2\nxyz"[..], "another version"), (b"", "another version"), (MAGIC, "")]
        {
            std::fs::write(verdict_path(&path), content).unwrap();
            let error = Verdict::read(&path).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    /// A function process that answers with these frames, and what the supervisor makes of it.
    fn judged(answer: impl FnOnce(&mut Vec<u8>)) -> io::Result<Verdict> {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        let mut frames = Vec::new();
        answer(&mut frames);
        theirs.write_all(&frames).unwrap();
        let verdict = supervise(&mut ours, &rerun());
        drop(theirs);
        verdict
    }

    fn results(out: &mut Vec<u8>, tag: ResultTag, body: &[u8]) {
        use crate::protocol::message::OpenResults;
        let mut record = Vec::new();
        append_result(&mut record, tag, |out| {
            out.extend_from_slice(body);
            Ok::<(), ()>(())
        })
        .unwrap();
        let mut open = OpenResults::begin(out, 1, 0);
        open.push(out, &record, 1);
        open.finish(out, 0);
    }

    #[test]
    fn what_the_process_says_is_the_verdict() {
        let done = |out: &mut Vec<u8>| Up::append_done(out, 1, 0);
        let output = judged(|out| {
            results(out, ResultTag::Output, b"done");
            done(out);
        });
        assert_eq!(output.unwrap(), Verdict::Output(Bytes::from_static(b"done")));
        let failure = TaskFailure::new(FailureKind::Panic, "unlucky");
        let failed = judged(|out| {
            results(out, ResultTag::Failure, &codec::to_vec(&failure).unwrap());
            done(out);
        });
        assert_eq!(failed.unwrap(), Verdict::Failed(failure));
        let refused = judged(|out| Up::append_refused(out, 1, "no such function"));
        assert_eq!(refused.unwrap(), Verdict::Refused("no such function".to_owned()));
        for nonsense in [judged(done), judged(|out| out.extend([1, 0, 0, 0, 9, 9]))] {
            assert!(nonsense.is_err(), "{nonsense:?}");
        }
    }

    #[test]
    fn one_that_says_nothing_has_met_its_limit() {
        let verdict = judged(|_| {}).unwrap();
        let limit = rerun().job.task_timeout.unwrap();
        assert_eq!(verdict, Verdict::Failed(TaskFailure::new(FailureKind::TimedOut(limit), "")));
    }
}
