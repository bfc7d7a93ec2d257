//! Programs of users: compilers, standards, both ways to link, and what watches memory.

use crate::build::{Link, dist, name, program, run};
use std::{fs, path::Path, process::Command};

fn checks(program: &Path, what: &str) {
    assert!(run(Command::new(program).arg(name(what))).contains("all right"));
}

#[test]
fn c_programs_build_without_a_warning_and_pass() {
    let Some(dist) = dist() else { return };
    for compiler in ["gcc", "clang"] {
        for (standard, link) in [("-std=c99", Link::Shared), ("-std=c11", Link::Static)] {
            let built = program(&dist, compiler, "checks.c", &[standard], link);
            let needs = run(Command::new("readelf").arg("-d").arg(&built));
            assert_eq!(needs.contains("libzerobuffer.so.2"), link == Link::Shared, "{needs}");
            checks(&built, &format!("c-{compiler}{standard}"));
        }
    }
}

#[test]
fn cpp_programs_build_without_a_warning_and_pass() {
    let Some(dist) = dist() else { return };
    for compiler in ["g++", "clang++"] {
        for (standard, link) in [("-std=c++17", Link::Shared), ("-std=c++20", Link::Static)] {
            for source in ["checks.cpp", "upstream.cpp"] {
                let built = program(&dist, compiler, source, &[standard], link);
                checks(&built, &format!("{source}-{compiler}{standard}"));
            }
        }
    }
}

#[test]
fn cmake_finds_the_package() {
    let Some(dist) = dist() else { return };
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/consumers/cmake");
    let prefix = format!("-DCMAKE_PREFIX_PATH={}", dist.display());
    for (c, cpp) in [("gcc", "g++"), ("clang", "clang++")] {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cmake-{c}"));
        let _ = fs::remove_dir_all(&folder);
        let mut cmake = Command::new("cmake");
        cmake.env("CC", c).env("CXX", cpp).arg(&prefix).arg("-S").arg(&source).arg("-B").arg(&folder);
        run(&mut cmake);
        run(Command::new("cmake").arg("--build").arg(&folder));
        for built in ["c_shared", "c_static", "cpp_shared", "cpp_static"] {
            checks(&folder.join(built), &format!("{built}-{c}"));
        }
    }
}

/// What distributions build with. Its own build takes minutes, so nothing here installs it.
#[test]
fn cargo_c_installs_what_programs_take() {
    if dist().is_none() {
        return;
    }
    let asked = Command::new("cargo").args(["cinstall", "--version"]).output();
    if !asked.is_ok_and(|output| output.status.success()) {
        println!("skipped: cargo-c is not there (cargo install cargo-c)");
        return;
    }
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = temporary.join("cargo-c");
    let _ = fs::remove_dir_all(&folder);
    let mut install = Command::new("cargo");
    install.args(["cinstall", "--locked", "--offline", "-p", "zerobuffer-c", "--prefix"]).arg(&folder);
    install.arg("--libdir").arg(folder.join("lib")).env("CARGO_TARGET_DIR", temporary.join("cargo-c-built"));
    run(install.current_dir(env!("CARGO_MANIFEST_DIR")));
    let library = run(Command::new("readelf").arg("-d").arg(folder.join("lib/libzerobuffer.so")));
    assert!(library.contains("soname: [libzerobuffer.so.2]"), "{library}");
    for link in [Link::Shared, Link::Static] {
        // Another standard than above: the programs lie beside each other.
        checks(&program(&folder, "gcc", "checks.c", &["-std=c17"], link), &format!("cargo-c-{link:?}"));
        checks(&program(&folder, "g++", "upstream.cpp", &["-std=c++2a"], link), &format!("cargo-c-{link:?}"));
    }
}

#[test]
fn valgrind_finds_no_fault_and_no_leak() {
    let Some(dist) = dist() else { return };
    for (compiler, source, standard) in [("gcc", "checks.c", "-std=c11"), ("g++", "checks.cpp", "-std=c++17")]
    {
        let built = program(&dist, compiler, source, &[standard, "-DVALGRIND"], Link::Static);
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--quiet", "--error-exitcode=9", "--leak-check=full"]);
        valgrind.args(["--errors-for-leak-kinds=definite,indirect", "--show-leak-kinds=definite,indirect"]);
        assert!(run(valgrind.arg(built).arg(name("valgrind"))).contains("all right"));
    }
}

#[test]
fn the_sanitizers_find_nothing() {
    let Some(dist) = dist() else { return };
    let sanitize = "-fsanitize=address,undefined";
    for (compiler, source, standard) in [
        ("gcc", "checks.c", "-std=c11"),
        ("g++", "checks.cpp", "-std=c++20"),
        ("g++", "upstream.cpp", "-std=c++17"),
    ] {
        let flags = [standard, sanitize, "-fno-sanitize-recover=all"];
        checks(&program(&dist, compiler, source, &flags, Link::Shared), "sanitizer");
    }
}

#[test]
fn only_the_interface_is_exported_with_its_version() {
    let Some(dist) = dist() else { return };
    let symbols =
        run(Command::new("nm").args(["-D", "--defined-only"]).arg(dist.join("lib/libzerobuffer.so")));
    let header = fs::read_to_string(dist.join("include/zerobuffer.h")).unwrap();
    let mut functions = 0;
    for symbol in symbols.lines().filter_map(|line| line.split_whitespace().last()) {
        if symbol == "ZEROBUFFER_2" {
            continue;
        }
        let function = symbol.strip_suffix("@@ZEROBUFFER_2").unwrap_or_else(|| panic!("{symbol}"));
        assert!(function.starts_with("zb_") && header.contains(&format!("{function}(")), "{symbol}");
        functions += 1;
    }
    assert!(functions > 45, "{symbols}");
}

/// Shown, not judged: other programs may run. `examples/speed.rs` is the same loop.
#[test]
fn the_time_of_a_frame_beside_rusts() {
    let (Some(dist), Some(rust)) = (dist(), std::env::var_os("ZEROBUFFER_RUST_SPEED")) else { return };
    let built = program(&dist, "gcc", "speed.c", &["-std=c11", "-O2"], Link::Shared);
    let time = |program: &Path, size: &str, rounds: &str| {
        let text = run(Command::new(program).args([&name("speed"), size, rounds]));
        text.trim().parse::<f64>().unwrap()
    };
    for (what, size, rounds) in [("64 B", "64", "200000"), ("1080p", "6220800", "30")] {
        let (mut c, mut other) = (f64::MAX, f64::MAX);
        for _ in 0..3 {
            c = c.min(time(&built, size, rounds));
            other = other.min(time(Path::new(&rust), size, rounds));
        }
        println!("{what}: C {c:.1} ns, Rust {other:.1} ns, {:.3} times", c / other);
    }
}
