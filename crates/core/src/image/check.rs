//! Whether a program can run where it is sent, told before anything is sent.

use super::{ElfInfo, Format, Linkage, Platform};
use crate::error::{Error, ErrorKind, Result};

/// Folders where every Linux system with the GNU C library has its loader.
const LOADER_FOLDERS: [&str; 4] = ["/lib/", "/lib64/", "/usr/lib/", "/usr/lib64/"];

/// Refuses a program that the platform cannot start.
///
/// For platforms that programs are shipped to ([`Limits::ships_image`](crate::invoker::Limits::ships_image)),
/// which all run Linux. The error is [`ErrorKind::Incompatible`]: it says what the program needs, what the
/// platform offers and which command mends it.
pub fn check(program: &ElfInfo, platform: &Platform) -> Result<()> {
    let name = &platform.name;
    let kind = match program.format {
        Format::Elf => None,
        Format::ElfOther => Some("is an ELF file without an entry point (a library or an object file)"),
        Format::MachO => Some("is built for macOS"),
        Format::Pe => Some("is built for Windows"),
        Format::Script => Some("is a script"),
        Format::Unknown => Some("is not an executable of a known format"),
    };
    if let Some(kind) = kind {
        return refuse(
            format!("the program {kind}; {name} runs Linux programs for {}", platform.arch),
            other_build(platform),
        );
    }
    if program.arch != platform.arch {
        return refuse(
            format!("the program is built for {}; {name} runs on {}", program.arch, platform.arch),
            other_build(platform),
        );
    }
    // A platform that names no C library runs whatever its own machine runs.
    let (Linkage::Dynamic, Some(offered)) = (program.linkage, platform.glibc) else {
        return Ok(());
    };
    if let Some(needed) = program.glibc.filter(|&needed| needed > offered) {
        let ((a, b), (c, d)) = (needed, offered);
        return refuse(
            format!("the program needs glibc {a}.{b} or newer; {name} has glibc {c}.{d}"),
            self_contained(platform),
        );
    }
    if let Some(loader) = &program.interpreter
        && (program.musl || !LOADER_FOLDERS.iter().any(|folder| loader.starts_with(folder)))
    {
        let why = if program.musl { "musl's loader, " } else { "" };
        return refuse(
            format!("the program is started by {why}{loader}; {name} does not have it"),
            self_contained(platform),
        );
    }
    Ok(())
}

fn refuse(message: String, hint: String) -> Result<()> {
    Err(Error::new(ErrorKind::Incompatible, message).with_hint(hint))
}

/// How to build the same program so that the platform's C library does not matter.
fn self_contained(platform: &Platform) -> String {
    let arch = &platform.arch;
    format!(
        "build it with its C library inside: `RUSTFLAGS='-C target-feature=+crt-static' cargo build --release \
         --target {arch}-unknown-linux-gnu`; or against the platform's: {}",
        zigbuild(platform)
    )
}

/// How to ship a program other than the one that runs here.
fn other_build(platform: &Platform) -> String {
    format!(
        "build the program for {} as well: {}, and name the result as `path` under `[image]` in the config; \
         from there, functions marked `#[remote]` can run",
        platform.arch,
        zigbuild(platform)
    )
}

fn zigbuild(platform: &Platform) -> String {
    let version = platform.glibc.map(|(major, minor)| format!(".{major}.{minor}")).unwrap_or_default();
    format!(
        "`cargo zigbuild --release --target {}-unknown-linux-gnu{version}` (`cargo install cargo-zigbuild`)",
        platform.arch
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ElfSpec, small_elf};
    use super::*;

    fn lambda() -> Platform {
        Platform {
            name: "AWS Lambda (provided.al2023)".to_owned(),
            arch: "x86_64".to_owned(),
            glibc: Some((2, 34)),
        }
    }

    fn verdict(spec: &ElfSpec) -> Result<()> {
        check(&ElfInfo::read(&small_elf(spec)).unwrap(), &lambda())
    }

    /// The text of the refusal.
    fn refused(spec: &ElfSpec) -> String {
        let error = verdict(spec).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incompatible);
        error.to_string()
    }

    fn needing(version: &'static str) -> ElfSpec {
        ElfSpec { versions: vec![("GLIBC_2.2.5", false), (version, false)], ..ElfSpec::default() }
    }

    #[test]
    fn a_glibc_as_old_as_the_platforms_is_fine() {
        verdict(&needing("GLIBC_2.34")).unwrap();
        verdict(&needing("GLIBC_2.9")).unwrap();
        verdict(&ElfSpec::default()).unwrap();
    }

    #[test]
    fn a_newer_glibc_is_refused_with_the_mend() {
        assert_eq!(
            refused(&needing("GLIBC_2.39")),
            "the program needs glibc 2.39 or newer; AWS Lambda (provided.al2023) has glibc 2.34\n\
             hint: build it with its C library inside: `RUSTFLAGS='-C target-feature=+crt-static' cargo build \
             --release --target x86_64-unknown-linux-gnu`; or against the platform's: `cargo zigbuild --release \
             --target x86_64-unknown-linux-gnu.2.34` (`cargo install cargo-zigbuild`)"
        );
    }

    #[test]
    fn another_machine_is_refused() {
        for (machine, name) in [(183, "aarch64"), (243, "riscv64"), (4711, "elf machine 4711")] {
            let text = refused(&ElfSpec { machine, ..needing("GLIBC_2.17") });
            assert!(text.contains(&format!("is built for {name}; AWS Lambda")), "{text}");
            assert!(text.contains("--target x86_64-unknown-linux-gnu.2.34`"), "{text}");
            assert!(text.contains("`[image]`"), "{text}");
        }
    }

    #[test]
    fn a_static_program_needs_nothing() {
        verdict(&ElfSpec { interpreter: None, ..ElfSpec::default() }).unwrap();
        verdict(&ElfSpec { interpreter: None, kind: 2, ..ElfSpec::default() }).unwrap();
    }

    #[test]
    fn a_loader_that_is_not_there_is_refused() {
        let musl = ElfSpec { interpreter: Some("/lib/ld-musl-x86_64.so.1"), ..ElfSpec::default() };
        assert!(refused(&musl).contains("musl's loader, /lib/ld-musl-x86_64.so.1"));
        let nix = "/nix/store/abc-glibc-2.34/lib/ld-linux-x86-64.so.2";
        assert!(refused(&ElfSpec { interpreter: Some(nix), ..ElfSpec::default() }).contains(nix));
    }

    #[test]
    fn what_is_no_linux_program_is_refused() {
        for (bytes, what) in [
            (&[0xcf, 0xfa, 0xed, 0xfe, 7][..], "macOS"),
            (b"MZ\x90\0\x03", "Windows"),
            (b"#!/bin/sh", "script"),
            (b"hello", "known format"),
        ] {
            let error = check(&ElfInfo::read(bytes).unwrap(), &lambda()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Incompatible);
            assert!(error.to_string().contains(what), "{error}");
            assert!(error.hint().is_some_and(|hint| hint.contains("#[remote]")));
        }
        assert!(refused(&ElfSpec { kind: 1, ..ElfSpec::default() }).contains("library or an object file"));
    }

    #[test]
    fn this_machine_runs_what_runs_here() {
        let exe = ElfInfo::read(super::super::testing::this_executable()).unwrap();
        check(&exe, &Platform::this_machine()).unwrap();
    }
}
