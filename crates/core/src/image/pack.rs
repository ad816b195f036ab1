//! Turning an executable into what is shipped, and back.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use bytes::Bytes;

use super::ImageId;
use super::hash::Sha256;
use super::layout::Layout;
use crate::error::{BackendError, Error, ErrorClass, ErrorKind, Result};

/// The zstd level images are packed with. Measured in `docs/decisions/0004-image-format.md`.
pub const DEFAULT_LEVEL: i32 = 3;

/// Bytes read, hashed and compressed at a time: they stay in the processor's cache between the three.
const BLOCK: usize = 256 << 10;

/// An executable as it is shipped.
#[derive(Debug, Clone)]
pub struct Packed {
    /// The SHA-256 of the stripped bytes.
    pub id: ImageId,
    /// The stripped bytes, compressed: one zstd frame.
    pub compressed: Bytes,
    /// How many bytes it unpacks to.
    pub size: u64,
}

/// Why packed bytes are not the image they should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// The bytes are no zstd frame, or a damaged one.
    #[error("the packed image is damaged")]
    Damaged(#[source] io::Error),
    /// It unpacks to more than was allowed.
    #[error("the image unpacks to more than the {max} bytes allowed")]
    TooLarge {
        /// The bound.
        max: u64,
    },
    /// It unpacks to another program.
    #[error("the image unpacks to {found} and not to {expected}")]
    WrongImage {
        /// What was asked for.
        expected: ImageId,
        /// What the bytes are.
        found: ImageId,
    },
    /// The unpacked bytes could not be written.
    #[error("the unpacked image could not be written")]
    Write(#[source] io::Error),
}

impl From<UnpackError> for BackendError {
    fn from(error: UnpackError) -> Self {
        let class = match &error {
            UnpackError::Damaged(_) | UnpackError::WrongImage { .. } => ErrorClass::Internal,
            UnpackError::TooLarge { .. } | UnpackError::Write(_) => ErrorClass::Misconfigured,
        };
        match error {
            UnpackError::Damaged(source) => {
                Self::new(class, "the packed image is damaged").with_source(source)
            }
            UnpackError::Write(source) => {
                Self::new(class, "the unpacked image could not be written").with_source(source)
            }
            other => Self::new(class, other.to_string()),
        }
    }
}

/// The bytes of an executable that are shipped: without debug sections, symbol table and section headers, every
/// loaded byte at its place. Files of unusual layout come back as they are; see the decision page on images.
pub fn strip(bytes: &[u8]) -> Cow<'_, [u8]> {
    Layout::of_bytes(bytes).apply(bytes)
}

/// The id under which an executable is shipped. Reads only the part that is shipped.
pub fn identity(exe: &Path) -> Result<ImageId> {
    let mut file = open(exe)?;
    hash(&mut file).map_err(|error| unreadable(exe, error))
}

/// Strips, hashes and compresses an executable in one pass. `level` is zstd's, 1 to 22; see [`DEFAULT_LEVEL`].
pub fn pack(exe: &Path, level: i32) -> Result<Packed> {
    let mut file = open(exe)?;
    compress(&mut file, level).map_err(|error| unreadable(exe, error))
}

/// The executable in packed bytes, if it is the expected one and has at most `max_size` bytes.
pub fn unpack(compressed: &[u8], expected: ImageId, max_size: u64) -> Result<Vec<u8>, UnpackError> {
    let mut out = Vec::new();
    unpack_into(compressed, expected, max_size, &mut out)?;
    Ok(out)
}

/// How many bytes packed bytes say they unpack to, to make room for them. [`unpack`] is what makes sure.
pub fn unpacked_size(compressed: &[u8]) -> Option<u64> {
    zstd::zstd_safe::get_frame_content_size(compressed).ok().flatten()
}

/// Like [`unpack`], to a writer, in pieces. On an error `out` may have got bytes that must not be used. Returns
/// how many bytes were written.
pub fn unpack_into(
    compressed: &[u8],
    expected: ImageId,
    max_size: u64,
    out: &mut impl Write,
) -> Result<u64, UnpackError> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(compressed).map_err(UnpackError::Damaged)?;
    let mut hash = Sha256::new();
    let mut block = vec![0; BLOCK];
    let mut size = 0;
    loop {
        let n = decoder.read(&mut block).map_err(UnpackError::Damaged)?;
        if n == 0 {
            break;
        }
        size += n as u64;
        if size > max_size {
            return Err(UnpackError::TooLarge { max: max_size });
        }
        hash.update(&block[..n]);
        out.write_all(&block[..n]).map_err(UnpackError::Write)?;
    }
    let found = ImageId(hash.finish());
    if found == expected { Ok(size) } else { Err(UnpackError::WrongImage { expected, found }) }
}

/// The SHA-256 of bytes that are an image already: not stripped again.
pub fn hash_of(mut reader: impl Read) -> io::Result<ImageId> {
    let mut hash = Sha256::new();
    let mut block = vec![0; BLOCK];
    loop {
        match reader.read(&mut block) {
            Ok(0) => return Ok(ImageId(hash.finish())),
            Ok(n) => hash.update(&block[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The id of an open executable. Moves its cursor.
pub(super) fn hash(file: &mut File) -> io::Result<ImageId> {
    let layout = Layout::of_file(file);
    hash_of(shipped(file, &layout)?)
}

/// Packs an open executable. Moves its cursor.
pub(super) fn compress(file: &mut File, level: i32) -> io::Result<Packed> {
    let layout = Layout::of_file(file);
    let mut hash = Sha256::new();
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), level)?;
    encoder.set_pledged_src_size(Some(layout.keep))?;
    let mut reader = shipped(file, &layout)?;
    let mut block = vec![0; BLOCK];
    loop {
        let n = reader.read(&mut block)?;
        if n == 0 {
            break;
        }
        hash.update(&block[..n]);
        encoder.write_all(&block[..n])?;
    }
    let compressed = encoder.finish()?.into();
    Ok(Packed { id: ImageId(hash.finish()), compressed, size: layout.keep })
}

/// Reads the shipped bytes of an open executable.
fn shipped<'a>(file: &'a mut File, layout: &'a Layout) -> io::Result<impl Read + 'a> {
    let start = layout.header.len() as u64;
    file.seek(SeekFrom::Start(start))?;
    Ok(layout.header.as_slice().chain(file.take(layout.keep.saturating_sub(start))))
}

pub(super) fn open(exe: &Path) -> Result<File> {
    File::open(exe).map_err(|error| unreadable(exe, error))
}

pub(super) fn unreadable(exe: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Config, format!("the program {} cannot be read", exe.display())).with_source(error)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use proptest::prelude::*;

    use super::super::testing::this_executable;
    use super::*;

    #[test]
    fn a_stripped_program_runs_as_before() {
        let dir = tempfile::tempdir().unwrap();
        let whole = std::env::current_exe().unwrap();
        let packed = pack(&whole, 1).unwrap();
        let bytes = unpack(&packed.compressed, packed.id, packed.size).unwrap();
        assert_eq!(bytes, *strip(this_executable()));
        assert_eq!(unpacked_size(&packed.compressed), Some(packed.size));
        let path = dir.path().join("stripped");
        // Written by another process, so that no thread of this one can pass the writing end to a child
        // between `fork` and `exec`, which would make the start fail with "text file busy".
        let source = dir.path().join("bytes");
        std::fs::write(&source, &bytes).unwrap();
        std::fs::set_permissions(&source, std::fs::Permissions::from_mode(0o700)).unwrap();
        assert!(Command::new("cp").arg("-p").arg(&source).arg(&path).status().unwrap().success());
        let list = |exe: &Path| {
            let out = Command::new(exe).args(["--list", "image::"]).output().unwrap();
            assert!(out.status.success(), "{out:?}");
            out.stdout
        };
        let listed = list(&path);
        assert!(String::from_utf8_lossy(&listed).contains("a_stripped_program_runs_as_before"));
        assert_eq!(listed, list(&whole));
    }

    #[test]
    fn the_id_is_the_hash_of_the_stripped_bytes() {
        let exe = std::env::current_exe().unwrap();
        let id = identity(&exe).unwrap();
        assert_eq!(id, ImageId(Sha256::of(&strip(this_executable()))));
        assert_eq!(id, pack(&exe, 1).unwrap().id);
        assert_eq!(ImageId(Sha256::of(b"abc")).to_string()[..16], *"ba7816bf8f01cfea");
    }

    #[test]
    fn a_bomb_is_refused() {
        let zeros = vec![0; 64 << 20];
        let id = ImageId(Sha256::of(&zeros));
        let bomb = zstd::bulk::compress(&zeros, 1).unwrap();
        assert!(bomb.len() < 64 << 10);
        let mut out = Vec::new();
        let error = unpack_into(&bomb, id, 1 << 20, &mut out).unwrap_err();
        assert!(matches!(error, UnpackError::TooLarge { max } if max == 1 << 20));
        assert!(out.len() <= 1 << 20);
        assert!(unpack(&bomb, id, 64 << 20).is_ok());
        assert!(unpack(&bomb, id, (64 << 20) - 1).is_err());
    }

    #[test]
    fn what_is_not_the_image_is_refused() {
        let bytes = b"a program".repeat(100);
        let id = ImageId(Sha256::of(&bytes));
        let packed = zstd::bulk::compress(&bytes, 3).unwrap();
        assert_eq!(unpack(&packed, id, 1 << 20).unwrap(), bytes);
        let other = zstd::bulk::compress(b"another", 3).unwrap();
        assert!(matches!(unpack(&other, id, 1 << 20), Err(UnpackError::WrongImage { .. })));
        assert!(matches!(unpack(b"nonsense", id, 1 << 20), Err(UnpackError::Damaged(_))));
        assert!(matches!(unpack(&packed[..packed.len() / 2], id, 1 << 20), Err(UnpackError::Damaged(_))));
    }

    #[test]
    fn a_missing_program_is_an_error_that_names_it() {
        let error = identity(Path::new("/nowhere/program")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("/nowhere/program"), "{error}");
    }

    proptest! {
        #[test]
        fn packing_any_file_keeps_what_strip_keeps(bytes: Vec<u8>) {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), &bytes).unwrap();
            let packed = pack(file.path(), 3).unwrap();
            let back = unpack(&packed.compressed, packed.id, packed.size).unwrap();
            prop_assert_eq!(&back[..], &*strip(&bytes));
        }

        #[test]
        fn any_bytes_are_unpacked_without_panic(bytes: Vec<u8>) {
            prop_assert!(unpack(&bytes, ImageId([0; 32]), 1 << 16).is_err());
        }
    }
}
