//! Each failure has its error, and the message has the buffer's name and the numbers.

use std::time::Duration;

use crate::common::{Name, content, expect_error};
use zerobuffer::{BufferConfig, Error, Reader, Writer, WriterConfig};

#[test]
fn a_buffer_that_is_not_there() {
    let name = Name::new("absent");
    let message = expect_error(Writer::connect(&name), "NotFound");
    assert!(message.contains(&*name), "{message}");
    name.assert_gone();
}

/// W12: 1–245 bytes, no '/', no NUL, not '.' or '..', no leading "sem.".
#[test]
fn invalid_names() {
    let long = "n".repeat(246);
    let wide = "é".repeat(123);
    let bad = [
        "",
        ".",
        "..",
        "/",
        "/x",
        "a/b",
        "../x",
        "x/",
        "a\0b",
        "\0",
        "sem.",
        "sem.x",
        "sem.sem-w-x",
        &long,
        &wide,
    ];
    for name in bad {
        for message in [
            expect_error(Reader::create(name, BufferConfig::default()), "InvalidName"),
            expect_error(Writer::connect(name), "InvalidName"),
            expect_error(
                Writer::connect_with(name, WriterConfig::default().connect_timeout(Duration::from_secs(20))),
                "InvalidName",
            ),
        ] {
            assert!(!message.contains('\0'), "{message:?}");
        }
    }
}

#[test]
fn names_that_look_odd_and_are_valid() {
    let pid = std::process::id();
    // Longer is refused: the tests of names say so.
    let longest = if cfg!(any(target_os = "macos", macos_sys)) { 30 } else { 245 };
    let long = format!("{pid}-").repeat(245)[..longest].to_owned();
    for name in [
        format!("zbt {pid} with spaces"),
        format!("-zbt-{pid}"),
        format!(".zbt-{pid}"),
        format!("zbt.{pid}.sem.ü.日本"),
        format!("...{pid}"),
        format!("semx{pid}"),
        // No file has such a name on Windows.
        if cfg!(windows) { format!("ZBT {pid}") } else { format!("ZBT\n{pid}") },
        long,
    ] {
        let mut reader = Reader::create(&name, BufferConfig::ring(64).metadata(0)).unwrap();
        let mut writer = Writer::connect(&name).unwrap();
        writer.write(b"x").unwrap();
        assert_eq!(reader.try_read().unwrap().expect("a frame is there").data(), b"x");
        assert_eq!((reader.name(), writer.name()), (&*name, &*name));
        writer.close().unwrap();
        reader.close().unwrap();
        Name::of(&name).assert_gone();
    }
}

#[test]
fn invalid_sizes_of_a_buffer() {
    let name = Name::new("config");
    for (metadata, payload) in [
        (0, 0),
        (64, 0),
        (0, u64::MAX),
        (u64::MAX, 64),
        (u64::MAX - 63, u64::MAX - 63),
        (1 << 63, 1 << 63),
        (0, 1 << 62),
    ] {
        let config = BufferConfig::ring(payload).metadata(metadata);
        match Reader::create(&name, config) {
            Err(Error::InvalidConfig { .. } | Error::NoSpace { .. }) => {}
            other => panic!("{metadata} {payload}: {other:?}"),
        }
        name.assert_gone();
    }
    let message =
        expect_error(Reader::create(&name, BufferConfig::ring(64).metadata(0).mode(0o1777)), "InvalidConfig");
    assert!(message.contains("mode = 01777 "), "{message}");
    // Sizes are rounded up to 64.
    let reader = Reader::create(&name, BufferConfig::ring(65).metadata(1)).unwrap();
    assert_eq!((reader.metadata_capacity(), reader.capacity()), (64, 128));
}

#[test]
fn frames_and_metadata_that_do_not_fit() {
    let name = Name::new("fit");
    let reader = Reader::create(&name, BufferConfig::ring(1024).metadata(64)).unwrap();
    let mut writer = Writer::connect(&name).unwrap();
    assert_eq!(writer.max_frame_size(), 1008);
    expect_error(writer.write(&[]), "EmptyFrame");
    expect_error(writer.write_vectored(&[]), "EmptyFrame");
    expect_error(writer.loan(0).map(drop), "EmptyFrame");
    for len in [1009, 1024, 5000] {
        for message in [
            expect_error(writer.write(&vec![0; len]), "FrameTooLarge"),
            expect_error(writer.try_write(&vec![0; len]), "FrameTooLarge"),
            expect_error(writer.loan(len).map(drop), "FrameTooLarge"),
        ] {
            let numbers = message.contains(&len.to_string()) && message.contains("1008");
            assert!(numbers && message.contains(&*name), "{message}");
        }
    }
    expect_error(writer.loan(usize::MAX).map(drop), "FrameTooLarge");
    expect_error(writer.loan(usize::MAX - 15).map(drop), "FrameTooLarge");

    let message = expect_error(writer.set_metadata(&[0; 57]), "MetadataTooLarge");
    assert!(message.contains("57") && message.contains("56"), "{message}");
    assert!(reader.metadata().unwrap().is_none());
    writer.set_metadata(&content(1, 56)).unwrap();
    let message = expect_error(writer.set_metadata(&[1]), "MetadataAlreadyWritten");
    assert!(message.contains(&*name), "{message}");
    assert_eq!(reader.metadata().unwrap().expect("written").data(), content(1, 56));
    drop((writer, reader));

    let name = Name::new("no-block");
    let reader = Reader::create(&name, BufferConfig::ring(64).metadata(0)).unwrap();
    let mut writer = Writer::connect(&name).unwrap();
    expect_error(writer.set_metadata(&[1]), "MetadataTooLarge");
    expect_error(writer.set_metadata(&[]), "MetadataTooLarge");
    assert!(reader.metadata().unwrap().is_none());
    drop((writer, reader));

    let name = Name::new("empty-meta");
    let reader = Reader::create(&name, BufferConfig::ring(64).metadata(64)).unwrap();
    let mut writer = Writer::connect(&name).unwrap();
    writer.set_metadata(&[]).unwrap();
    expect_error(writer.set_metadata(&[1]), "MetadataAlreadyWritten");
    assert_eq!(reader.metadata().unwrap().expect("written, though empty").data(), b"");
}
