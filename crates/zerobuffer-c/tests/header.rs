//! The committed header is what the sources say.

#![allow(clippy::missing_panics_doc)]

use std::{fs, path::Path};

#[test]
fn the_header_is_generated_from_the_sources() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(folder.join("cbindgen.toml")).unwrap();
    let bindings = cbindgen::Builder::new().with_crate(folder).with_config(config).generate().unwrap();
    let mut generated = Vec::new();
    bindings.write(&mut generated);
    let generated = String::from_utf8(generated).unwrap();
    let path = folder.join("include/zerobuffer.h");
    if std::env::var_os("ZEROBUFFER_BLESS").is_some() {
        fs::write(&path, &generated).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated,
        "{} is not what the sources say: run ZEROBUFFER_BLESS=1 cargo test -p zerobuffer-c --test header",
        path.display()
    );
}

#[test]
fn each_function_says_which_threads_may_call_it() {
    let header = include_str!("../include/zerobuffer.h");
    let (mut functions, mut comment) = (0, String::new());
    for line in header.lines() {
        if let Some(text) = line.strip_prefix("//") {
            comment.push_str(text);
            continue;
        }
        // A declaration, or the first line of one.
        let is_function = line.contains(" zb_") || line.contains(" *zb_");
        if is_function && line.contains('(') && !line.starts_with([' ', '#']) && !line.starts_with("typedef")
        {
            assert!(comment.contains("thread"), "{line}: which threads?");
            functions += 1;
        }
        comment.clear();
    }
    assert!(functions > 90, "{functions} functions were found");
}
