//! Runtimes that can be deployed, and those that cannot.

use super::*;

fn platform(arch: &str) -> Platform {
    Platform { name: "AWS Lambda (provided.al2023)".to_owned(), arch: arch.to_owned(), glibc: Some((2, 34)) }
}

/// A program in a file of its own.
fn file(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runtime");
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

/// The smallest program for a machine of 64 bits that contains all it needs: a header and one segment.
fn small(machine: u64) -> Vec<u8> {
    let mut elf = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0];
    elf.resize(16, 0);
    let header = [(2, 2), (2, machine), (4, 1), (8, 0x40_0078), (8, 64), (8, 0), (4, 0)];
    let sizes = [(2, 64), (2, 56), (2, 1), (2, 64), (2, 0), (2, 0)];
    let segment = [(4, 1), (4, 5), (8, 0), (8, 0x40_0000), (8, 0x40_0000), (8, 128), (8, 128), (8, 4096)];
    for (size, value) in [&header[..], &sizes, &segment, &[(8, 0x90)]].concat() {
        elf.extend_from_slice(&u64::to_le_bytes(value)[..size]);
    }
    elf
}

const X86_64: u64 = 62;
const AARCH64: u64 = 183;
const MOST: usize = usize::MAX;

/// The running test as if it had been built against this version of glibc.
fn built_against(minor: u8) -> Vec<u8> {
    let mut bytes = fs::read(std::env::current_exe().unwrap()).unwrap();
    let name = b"GLIBC_2.";
    // What the loader reads is at the beginning.
    for at in 0..bytes.len().min(4 << 20) - name.len() - 3 {
        let [a, b, end] = [0, 1, 2].map(|i| bytes[at + name.len() + i]);
        if bytes[at..].starts_with(name) && a.is_ascii_digit() && b.is_ascii_digit() && end == 0 {
            bytes[at + name.len()] = b'0' + minor / 10;
            bytes[at + name.len() + 1] = b'0' + minor % 10;
        }
    }
    bytes
}

/// The archive of this file, as a provider for this platform makes it that takes so much: the executable itself.
fn pack(path: &Path, platform: &Platform, most: usize) -> Result<Package> {
    let source = RuntimeSource::new(Some(path.to_owned()), platform.clone(), "`make runtime`");
    source.package("Lambda", most, |runtime| Ok::<_, Error>(runtime.to_vec())).cloned()
}

#[test]
fn an_archive_is_of_the_stripped_runtime_and_has_its_hash() {
    let ((_one, path), (_two, copy)) = (file(&small(X86_64)), file(&small(X86_64)));
    let platform = platform("x86_64");
    let (first, second) = (pack(&path, &platform, MOST).unwrap(), pack(&copy, &platform, MOST).unwrap());
    assert!(first == second && first.bytes == *strip(&small(X86_64)));
    assert_eq!(first.hash(32), crate::image::ImageId(first.sha256).to_string());
    assert_eq!(first.hash(20), first.hash(32)[..40]);
    assert!(!format!("{first:?}").contains("bytes"), "{first:?}");
}

#[test]
fn a_newer_c_library_is_refused_with_the_command_that_mends_it() {
    let (_folder, path) = file(&built_against(39));
    let error = pack(&path, &platform(std::env::consts::ARCH), MOST).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    let text = error.to_string();
    assert!(
        text.contains("needs glibc 2.39 or newer; AWS Lambda (provided.al2023) has glibc 2.34"),
        "{text}"
    );
    assert!(text.contains("build it for AWS Lambda (provided.al2023)"), "{text}");
    assert!(text.contains("name it by --runtime: `make runtime`"), "{text}");
}

#[test]
fn another_machine_is_refused_with_the_command_that_mends_it() {
    let (_folder, path) = file(&small(AARCH64));
    pack(&path, &platform("aarch64"), MOST).unwrap();
    let text = pack(&path, &platform("x86_64"), MOST).unwrap_err().to_string();
    assert!(text.contains("is built for aarch64") && text.contains("`make runtime`"), "{text}");
}

#[test]
fn what_is_no_program_is_refused() {
    let (_folder, path) = file(b"#!/bin/sh\n");
    let error = pack(&path, &platform("x86_64"), MOST).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    let missing = pack(&path.with_extension("gone"), &platform("x86_64"), MOST).unwrap_err();
    assert!(missing.hint().is_some_and(|hint| hint.contains("--runtime")), "{missing}");
}

#[test]
fn a_runtime_that_does_not_fit_is_refused() {
    let (_folder, path) = file(&small(X86_64));
    let len = pack(&path, &platform("x86_64"), MOST).unwrap().bytes.len();
    pack(&path, &platform("x86_64"), len).unwrap();
    let error = pack(&path, &platform("x86_64"), len - 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    assert!(error.message().contains(&format!("has {len}B when packed")), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("release")), "{error}");
}

#[test]
fn the_runtime_lies_beside_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let beside = Some(folder.path());
    let source = |given: Option<&str>| {
        RuntimeSource::new(given.map(PathBuf::from), platform("aarch64"), "`make runtime`")
    };
    let error = source(None).file(beside).unwrap_err();
    assert!(error.message().contains("no rustwren-runtime-aarch64 and no rustwren-runtime in "), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("--runtime: `make runtime`")), "{error}");
    for name in ["rustwren-runtime", "rustwren-runtime-aarch64"] {
        fs::write(folder.path().join(name), "").unwrap();
        assert_eq!(source(None).file(beside).unwrap(), folder.path().join(name));
    }
    assert_eq!(source(Some("/x")).file(beside).unwrap(), Path::new("/x"));
}
