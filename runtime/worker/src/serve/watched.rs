//! A stream that ends when nothing comes of it: callers that say nothing, or say it too slowly.
//!
//! While a call is under way it is watched by whoever reads its body or writes its answer. Otherwise a caller has a time
//! to begin, and from its first byte on a time to come to the end of a call's headers. HTTP/2 connections talk between
//! calls as well; for them only the time between calls counts.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::connections::State;

/// What HTTP/2 begins with, and no method of HTTP/1 in use here.
const HTTP2: &[u8] = b"PRI";

/// How long a caller may be silent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Until its first byte, and from the first byte of a call to the end of its headers.
    pub(super) headers: Duration,
    /// Between calls.
    pub(super) idle: Duration,
}

/// The stream.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    state: Arc<State>,
    patience: Patience,
    sleep: Pin<Box<Sleep>>,
    phase: Phase,
    /// Its first bytes, as far as needed to know.
    first: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing has come since the last call, or the beginning.
    Idle,
    /// A call has begun to come.
    Headers,
    /// A call was under way when this was last looked at.
    Busy,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, state: Arc<State>, patience: Patience) -> Self {
        let sleep = Box::pin(sleep(patience.headers));
        Self { stream, state, patience, sleep, phase: Phase::Idle, first: Vec::new() }
    }

    fn enter(&mut self, phase: Phase, time: Duration) {
        self.phase = phase;
        self.sleep.as_mut().reset(Instant::now() + time);
    }

    fn is_http2(&self) -> bool {
        self.first == HTTP2
    }

    fn note(&mut self, bytes: &[u8]) {
        let room = HTTP2.len() - self.first.len();
        self.first.extend(&bytes[..bytes.len().min(room)]);
        if room > 0 && self.is_http2() {
            // It has begun, and may have its first call later.
            self.enter(Phase::Idle, self.patience.idle);
        }
        if self.phase == Phase::Idle && !self.state.is_busy() && !self.is_http2() {
            self.enter(Phase::Headers, self.patience.headers);
        }
    }

    /// Whether the caller has been waited for long enough.
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            if self.state.is_busy() {
                // Looked at again when the answer is written, or when its time would be over.
                if self.phase != Phase::Busy {
                    self.enter(Phase::Busy, self.patience.idle);
                }
            } else if self.phase == Phase::Busy {
                self.enter(Phase::Idle, self.patience.idle);
            }
            if self.sleep.as_mut().poll(cx).is_pending() {
                return false;
            }
            if !self.state.is_busy() {
                return true;
            }
            self.enter(Phase::Busy, self.patience.idle);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, buffer) {
            if buffer.filled().len() > before {
                self.note(&buffer.filled()[before..]);
                // A caller that sends a byte now and then keeps no time from running out.
                if self.is_over(cx) {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
            return Poll::Ready(read);
        }
        if self.is_over(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::super::connections::{Busy, Connections};
    use super::*;

    const PATIENCE: Patience = Patience { headers: Duration::from_secs(10), idle: Duration::from_secs(60) };

    fn watched() -> (Watched<DuplexStream>, DuplexStream, Arc<State>) {
        let place = Arc::new(Connections::new(1)).add().unwrap();
        let (ours, theirs) = duplex(64);
        (Watched::new(ours, Arc::clone(&place.state), PATIENCE), theirs, Arc::clone(&place.state))
    }

    async fn read(stream: &mut Watched<DuplexStream>) -> io::Result<usize> {
        stream.read(&mut [0; 64]).await
    }

    async fn over(stream: &mut Watched<DuplexStream>) -> Duration {
        let begun = Instant::now();
        let error = read(stream).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_says_nothing() {
        let (mut stream, _theirs, _) = watched();
        assert!((10..12).contains(&over(&mut stream).await.as_secs()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_says_it_too_slowly() {
        let (mut stream, mut theirs, _) = watched();
        let begun = Instant::now();
        let slowly = async {
            for byte in b"POST / HTTP/1.1\r\n".iter().cycle() {
                tokio::time::advance(Duration::from_secs(3)).await;
                if theirs.write_all(&[*byte]).await.is_err() {
                    break;
                }
            }
        };
        let reading = async {
            while read(&mut stream).await.is_ok() {}
            drop(stream);
        };
        tokio::join!(slowly, reading);
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn calls_under_way_are_waited_for_and_the_time_between_them_is_longer() {
        let (mut stream, mut theirs, state) = watched();
        theirs.write_all(b"GET /").await.unwrap();
        read(&mut stream).await.unwrap();
        let busy = Busy::new(&state);
        let waited = tokio::time::timeout(Duration::from_secs(1000), read(&mut stream)).await;
        assert!(waited.is_err(), "a call is under way");
        drop(busy);
        assert!((59..125).contains(&over(&mut stream).await.as_secs()));
    }

    #[tokio::test(start_paused = true)]
    async fn http2_may_talk_between_calls() {
        let (mut stream, mut theirs, state) = watched();
        theirs.write_all(b"PRI * HTTP/2.0").await.unwrap();
        read(&mut stream).await.unwrap();
        drop(Busy::new(&state));
        let busy = Busy::new(&state);
        assert!(tokio::time::timeout(Duration::from_millis(1), read(&mut stream)).await.is_err());
        drop(busy);
        for _ in 0..5 {
            tokio::time::advance(Duration::from_secs(10)).await;
            theirs.write_all(b"ping").await.unwrap();
            read(&mut stream).await.unwrap();
        }
        assert!(over(&mut stream).await.as_secs() <= 61);
    }
}
