//! The inputs of a job in storage.

use std::collections::VecDeque;
use std::future::ready;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::poll_fn;
use futures_util::stream::{FuturesOrdered, FuturesUnordered, Stream, StreamExt};
use serde::{Deserialize, Serialize};

use super::id::JobId;
use super::journal::removed;
use super::manifest::{Inputs, Manifest};
use super::sealed::{Broken, Form, mend};
use super::store::Store;
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::records::split_input;
use crate::scheduler::input::{Block, InputSource};
use crate::storage::{Key, StorageResult};

const FORM: Form = Form { magic: *b"RWI", version: 1, name: "block of inputs" };
/// Most bytes in a block, unless one block of the source is larger.
const BLOCK: usize = 8 << 20;
/// Blocks written, and read ahead, at once.
const WRITES: usize = 4;
const READS: usize = 3;

#[derive(Serialize, Deserialize)]
struct Head {
    /// Which block of the job.
    block: u64,
    count: u32,
}

/// Stores a job's inputs, and reads them back.
#[derive(Debug)]
pub struct InputStore {
    store: Store,
    id: JobId,
    block: usize,
}

type Putting = Pin<Box<dyn Future<Output = StorageResult<()>> + Send>>;
type Getting = Pin<Box<dyn Future<Output = Result<Block>> + Send>>;

impl InputStore {
    /// The inputs of this job.
    pub fn new(store: &Store, id: &JobId) -> Self {
        Self { store: store.clone(), id: id.clone(), block: BLOCK }
    }

    /// Blocks of at most so many bytes instead of 8 MiB, unless one block of the source is larger.
    pub fn block_bytes(mut self, bytes: usize) -> Self {
        self.block = bytes;
        self
    }

    /// Stores everything that a source gives, four blocks of up to 8 MiB at a time, and holds not more than that and
    /// one block of the source. `stored` is told of how many elements have been stored after each block.
    pub async fn write(
        &self,
        mut source: Box<dyn InputSource>,
        mut stored: impl FnMut(u64),
    ) -> Result<Inputs> {
        let mut inputs = Inputs::default();
        let mut open = Open::default();
        let mut putting: FuturesUnordered<Putting> = FuturesUnordered::new();
        loop {
            let block = poll_fn(|cx| source.poll_next(cx)).await.transpose()?;
            let full = match &block {
                Some(block) => open.count > 0 && !open.takes(block, self.block),
                None => open.count > 0,
            };
            if full {
                while putting.len() >= WRITES
                    && let Some(done) = putting.next().await
                {
                    done?;
                }
                putting.push(self.put(&mut inputs, &open)?);
                open = Open::default();
                stored(inputs.elements);
            }
            match block {
                Some(block) => open.push(block),
                None => break,
            }
        }
        while let Some(done) = putting.next().await {
            done?;
        }
        Ok(inputs)
    }

    fn put(&self, inputs: &mut Inputs, open: &Open) -> Result<Putting> {
        let number = inputs.blocks.len() as u64;
        let head = Head { block: number, count: open.count };
        let sealed = FORM.seal(fastrand::u128(..), &head, open.parts.iter().map(|part| &part[..]))?;
        inputs.blocks.push(open.count);
        inputs.elements += u64::from(open.count);
        inputs.bytes += open.bytes as u64;
        let (store, key) = (self.store.clone(), self.id.input_key(number)?);
        Ok(Box::pin(async move { store.put(&key, sealed).await }))
    }

    /// The inputs again, a few blocks read ahead.
    pub fn read(&self, inputs: &Inputs) -> StoredInputs {
        self.read_some(inputs, |_| true)
    }

    /// The inputs again, without the blocks none of whose elements is `wanted`: in their place come
    /// [finished](Block::finished) ones.
    pub fn read_some(&self, inputs: &Inputs, wanted: impl Fn(Range<u64>) -> bool) -> StoredInputs {
        let mut first = 0;
        let blocks = inputs.blocks.iter().copied().zip(0..).map(|(count, number)| {
            let elements = first..first + u64::from(count);
            first = elements.end;
            (count, wanted(elements).then_some(number))
        });
        StoredInputs {
            store: self.store.clone(),
            id: self.id.clone(),
            to_read: blocks.collect(),
            reading: FuturesOrdered::new(),
            remaining: inputs.elements,
        }
    }

    /// The input record's body of one element.
    pub async fn element(&self, inputs: &Inputs, index: u64) -> Result<Bytes> {
        let mut first = 0;
        for (number, &count) in (0..).zip(&inputs.blocks) {
            if index < first + u64::from(count) {
                let block = read_block(&self.store, &self.id, number, count).await?;
                let mut at = 0;
                for _ in first..index {
                    at += split_input(&block.bytes[at..]).map_err(|error| self.odd(number, &error))?.1;
                }
                let (body, _) = split_input(&block.bytes[at..]).map_err(|error| self.odd(number, &error))?;
                return Ok(block.bytes.slice_ref(body));
            }
            first += u64::from(count);
        }
        let message = format!("job {} has {} inputs: there is no input {index}", self.id, inputs.elements);
        Err(Error::new(ErrorKind::Config, message))
    }

    fn odd(&self, number: u64, error: &dyn std::fmt::Display) -> Error {
        Error::new(ErrorKind::Internal, format!("block {number} of the inputs of job {}: {error}", self.id))
    }
}

/// A block that is being filled.
#[derive(Default)]
struct Open {
    count: u32,
    bytes: usize,
    parts: Vec<Bytes>,
}

impl Open {
    fn takes(&self, block: &Block, most: usize) -> bool {
        self.bytes + block.bytes.len() <= most && self.count.checked_add(block.count).is_some()
    }

    fn push(&mut self, block: Block) {
        self.count += block.count;
        self.bytes += block.bytes.len();
        self.parts.push(block.bytes);
    }
}

/// Stored inputs as a source.
pub struct StoredInputs {
    store: Store,
    id: JobId,
    /// How many elements each block has, and its number, unless nobody wants it.
    to_read: VecDeque<(u32, Option<u64>)>,
    reading: FuturesOrdered<Getting>,
    remaining: u64,
}

impl std::fmt::Debug for StoredInputs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredInputs")
            .field("job", &self.id)
            .field("remaining", &self.remaining)
            .finish_non_exhaustive()
    }
}

impl InputSource for StoredInputs {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Block>>> {
        while self.reading.len() < READS
            && let Some((count, number)) = self.to_read.pop_front()
        {
            let (store, id) = (self.store.clone(), self.id.clone());
            self.reading.push_back(match number {
                Some(number) => Box::pin(async move { read_block(&store, &id, number, count).await }),
                None => Box::pin(ready(Ok(Block::finished(count)))),
            });
        }
        let next = Pin::new(&mut self.reading).poll_next(cx);
        if let Poll::Ready(Some(Ok(block))) = &next {
            self.remaining -= u64::from(block.count);
        }
        next
    }

    fn remaining(&self) -> Option<u64> {
        Some(self.remaining)
    }
}

async fn read_block(store: &Store, id: &JobId, number: u64, count: u32) -> Result<Block> {
    let key = id.input_key(number)?;
    let Some(bytes) = store.get_opt(&key).await? else {
        return Err(missing(store, id, &key).await);
    };
    let broken = |broken: Broken| broken.into_error(&FORM, id, &key);
    let (head, records) = FORM.open::<Head>(&bytes).map_err(broken)?;
    if (head.block, head.count) != (number, count) {
        return Err(broken(Broken::Damaged("it holds other inputs than the manifest says")));
    }
    Ok(Block { count, bytes: records })
}

/// The error of a block that is not there.
async fn missing(store: &Store, id: &JobId, key: &Key) -> Error {
    match Manifest::read_opt(store, id).await {
        Ok(None) => removed(id, None),
        Ok(Some(_)) => {
            let message = format!("inputs of job {id} are missing: there is no object {key}");
            Error::new(ErrorKind::Internal, message).with_hint(mend(id))
        }
        Err(error) => error,
    }
}
