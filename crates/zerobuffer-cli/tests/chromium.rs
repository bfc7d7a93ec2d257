//! `view` in a real browser: its pictures pixel by pixel, freezing, and names that are markup.
// The tests speak to the command by signals of Unix.
#![cfg(unix)]
// Outside test functions, too: a helper that fails is a failed test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod browser;
mod common;
mod viewer;

use std::time::{Duration, Instant};

use browser::Browser;
use common::name;
use viewer::{Stream, Viewer, encoded, within};
use zerobuffer_video::{Description, Format, Stamp, Video};

/// Format, size, and how far a colour may be from the exact formula.
const PICTURES: [(&str, u32, u32, f64); 15] = [
    ("I420", 64, 48, 2.0),
    ("I420", 33, 17, 2.0),
    ("NV12", 64, 48, 2.0),
    ("NV12", 35, 19, 2.0),
    // Chromium's factor for the blue of BT.709 is 2.0 in place of 2.1.
    ("NV12", 3840, 2160, 14.0),
    ("Y444", 33, 17, 2.0),
    ("UYVY", 32, 16, 1.0),
    ("RGB", 64, 48, 0.0),
    ("RGB", 31, 17, 0.0),
    ("RGB", 3840, 2160, 0.0),
    ("BGR", 63, 47, 0.0),
    ("BGRA", 17, 5, 0.0),
    ("GRAY8", 41, 23, 0.0),
    ("GRAY16_LE", 39, 21, 0.0),
    ("GRAY16_BE", 8, 8, 0.0),
];

#[test]
fn pictures_pixel_by_pixel() {
    let Some(mut browser) = Browser::start() else { return };
    let viewer = Viewer::start(&[]);
    for (seed, (format, width, height, tolerance)) in PICTURES.into_iter().enumerate() {
        let what = format!("{format} {width} x {height}");
        let mut stream = Stream::new(&name(), format, width, height);
        let picture = stream.picture(seed);
        stream.show(&picture);
        let url = format!("http://{}/#/{}", viewer.address, stream.name);
        let tab = browser.open(&url, 1280, 800, "dark");
        let canvas = "document.querySelector('canvas.picture')";
        // One that has no picture yet has these sides, too.
        browser.wait(&tab, &format!("{canvas}?.width === {width} && {canvas}.height === {height}"));
        browser.wait(&tab, "document.querySelector('dl')?.textContent.includes('no.')");
        let (left, top) = (width.saturating_sub(96), height.saturating_sub(96));
        let part = [left, top, width - left, height - top];
        for (index, pixel) in browser.pixels(&tab, part).into_iter().enumerate() {
            let (x, y) = (left as usize + index % part[2] as usize, top as usize + index / part[2] as usize);
            // At the edges of chroma's blocks a browser may mix neighbours.
            let is_inside = |at: usize| (2..6).contains(&(at % 8));
            if tolerance > 0.0 && !(is_inside(x) && is_inside(y)) {
                continue;
            }
            for (found, exact) in pixel.into_iter().zip(stream.exact(&picture, x, y)) {
                let off = (f64::from(found) - exact).abs();
                assert!(
                    off <= tolerance + 0.6 * f64::from(u8::from(tolerance > 0.0)),
                    "{what}: ({x}, {y}): {pixel:?}"
                );
            }
        }
        let point = format!(
            "(() => {{ const box = {canvas}.getBoundingClientRect();
            {canvas}.dispatchEvent(new PointerEvent('pointermove', {{ clientX: box.left + box.width * 0.5 / {width},
            clientY: box.top + box.height * 0.5 / {height} }})); return document.querySelector('output').textContent; }})()"
        );
        let said = browser.eval(&tab, &point);
        let said = said.as_str().unwrap();
        assert!(said.starts_with("x 0  y 0 "), "{what}: {said}");
        let first = match format {
            "GRAY16_LE" => format!("Y {}", u16::from_le_bytes([picture[0], picture[1]])),
            "GRAY16_BE" => format!("Y {}", u16::from_be_bytes([picture[0], picture[1]])),
            "RGB" => format!("R {}  G {}  B {}", picture[0], picture[1], picture[2]),
            "BGR" | "BGRA" => format!("R {}  G {}  B {}", picture[2], picture[1], picture[0]),
            "UYVY" => String::from("(converted)"),
            _ => format!("Y {}", picture[0]),
        };
        assert!(said.contains(&first), "{what}: {first} in {said}");
    }
    assert_eq!(browser.complaints, [""; 0]);
}

#[test]
fn freezing_and_a_tab_that_is_busy() {
    let Some(mut browser) = Browser::start() else { return };
    let mut stream = Stream::new(&name(), "GRAY8", 16, 16);
    let viewer = Viewer::start(&[&stream.name]);
    let url = format!("http://{}/#/{}", viewer.address, stream.name);
    let (first, second) = (browser.open(&url, 800, 600, "dark"), browser.open(&url, 800, 600, "light"));
    let shows = |value: u8| {
        format!(
            "document.querySelector('canvas.picture')?.getContext('2d').getImageData(3, 3, 1, 1).data[0] === {value}"
        )
    };
    stream.show(&[40; 256]);
    for tab in [&first, &second] {
        browser.call(Some(tab), "Page.bringToFront", serde_json::json!({}));
        browser.wait(tab, &shows(40));
    }
    // The first is busy for two seconds; the other goes on at once.
    let busy = "setTimeout(() => { const until = Date.now() + 2000; while (Date.now() < until); }, 0), 1";
    browser.eval(&first, busy);
    let started = Instant::now();
    stream.show(&[80; 256]);
    browser.wait(&second, &shows(80));
    let took = started.elapsed();
    assert!(took < Duration::from_millis(1900), "{took:?}");
    // Frozen, it shows what it showed; then the newest.
    let freeze = "document.querySelector('.tools button').click()";
    browser.eval(&second, freeze);
    for value in 81..90 {
        stream.show(&[value; 256]);
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(browser.eval(&second, &shows(80)), true);
    browser.eval(&second, freeze);
    stream.show(&[90; 256]);
    browser.wait(&second, &shows(90));
    // Another buffer of that name, with other pictures.
    let name = stream.name.clone();
    drop(stream);
    let mut stream = Stream::new(&name, "RGB", 20, 10);
    stream.show(&[70; 600]);
    browser.wait(&second, &format!("{} && document.querySelector('canvas.picture').width === 20", shows(70)));
    assert_eq!(browser.complaints, [""; 0]);
}

#[test]
fn an_idle_picture_is_as_old_as_it_is() {
    let Some(mut browser) = Browser::start() else { return };
    let mut stream = Stream::new(&name(), "GRAY8", 16, 16);
    let viewer = Viewer::start(&[&stream.name]);
    stream.show(&[40; 256]);
    // Seen by the server, and old before a page opens.
    let url = format!("http://{}/#/{}", viewer.address, stream.name);
    let first = browser.open(&url, 800, 600, "dark");
    let shown = "document.querySelectorAll('.tile b')[2]?.textContent";
    let age = format!("Number(/^([0-9.]+)\\u202fs$/.exec({shown})?.[1])");
    browser.wait(&first, &format!("{age} >= 3"));
    let second = browser.open(&url, 800, 600, "dark");
    let drawn = "[...document.querySelectorAll('dd')].some((fact) => fact.textContent.startsWith('no. '))";
    browser.wait(&second, drawn);
    // The number of the age is written four times a second.
    std::thread::sleep(Duration::from_millis(600));
    let age = browser.eval(&second, &age).as_f64();
    assert!(age.is_some_and(|age| age >= 3.0), "{}", browser.eval(&second, shown));
}

#[test]
fn markup_stays_text() {
    let Some(mut browser) = Browser::start() else { return };
    let odd =
        format!("{}<img src=x onerror=\"document.title='hit'\"><script>alert(1)<\u{2215}script>", name());
    let caps = r"<svg onload=alert(2)>, format=(string)<b>, width=(int)1";
    let reader = zerobuffer::BufferConfig::ring(4096).metadata(512);
    let _reader = zerobuffer::Reader::create(&odd, reader).unwrap();
    let mut writer = zerobuffer::Writer::connect(&odd).unwrap();
    writer.set_metadata(serde_json::json!({"caps": caps}).to_string().as_bytes()).unwrap();
    writer.write(b"<script>alert(3)</script>").unwrap();
    let viewer = Viewer::start(&[&odd]);
    for (hash, holds) in [
        (String::new(), "document.querySelector('.card h2')"),
        (format!("#/{}", encoded(&odd)), "document.querySelector('.single h1')"),
    ] {
        let tab = browser.open(&format!("http://{}/{hash}", viewer.address), 1280, 800, "dark");
        let text = serde_json::Value::String(odd.clone());
        browser.wait(&tab, &format!("{holds}?.textContent === {text}"));
        browser.wait(&tab, "document.querySelector('pre.hex')?.textContent.includes('3c 73 63 72')");
        let found = "document.querySelectorAll('main img, main script, main svg, main b[onload]').length";
        assert_eq!(browser.eval(&tab, found), 0);
        assert_ne!(browser.eval(&tab, "document.title"), "hit");
        // The policy: neither markup nor code from text, whatever its source.
        let refused = "(() => { try { document.body.innerHTML = '<p>'; return 'set'; } catch { return 'refused'; } })()";
        assert_eq!(browser.eval(&tab, refused), "refused");
    }
    assert_eq!(browser.complaints, [""; 0]);
}

#[test]
fn a_face() {
    let Some(mut browser) = Browser::start() else { return };
    let label = name();
    let mut streams: Vec<Stream> = [("I420", 640, 360), ("RGB", 320, 240), ("GRAY16_LE", 320, 240)]
        .iter()
        .enumerate()
        .map(|(index, (format, width, height))| {
            Stream::new(&format!("{label}-{index}"), format, *width, *height)
        })
        .collect();
    let mut names: Vec<String> = streams.iter().map(|stream| stream.name.clone()).collect();
    // One whose source loses frames, and one that is no picture.
    let (lossy, sound) = (format!("{label}-3"), format!("{label}-4"));
    names.extend([lossy.clone(), sound.clone()]);
    let ring = || zerobuffer::BufferConfig::ring(1 << 20).metadata(1024);
    let mut lossy_reader = zerobuffer::Reader::create(&lossy, ring()).unwrap();
    let _sound_reader = zerobuffer::Reader::create(&sound, ring()).unwrap();
    let mut lossy = zerobuffer::Writer::connect(&lossy).unwrap();
    let mut sound = zerobuffer::Writer::connect(&sound).unwrap();
    let grey = Video::new(Format::from_name("GRAY8").unwrap(), 240, 320).unwrap();
    lossy.set_metadata(&Description::video("test", &grey).stamped().to_json()).unwrap();
    sound.set_metadata(br#"{"caps":"audio/x-raw, format=(string)S16LE, layout=(string)interleaved, rate=(int)48000, channels=(int)1"}"#).unwrap();
    let wave = (0..480u16).flat_map(|at| {
        let value = (f64::from(at) / 20.0).sin() * 20_000.0;
        (value as i16).to_le_bytes()
    });
    sound.write(&wave.collect::<Vec<u8>>()).unwrap();
    let viewer = Viewer::start(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for stream in &mut streams {
        let picture = stream.picture(3);
        stream.show(&picture);
    }
    let mut number = 0;
    let mut lose = || {
        number += 7;
        let stamp = Stamp { number: Some(number), ..Stamp::default() };
        let ramp = (0..240 * 320u32).map(|at| (at / 320 + at % 240 / 4) as u8);
        let frame: Vec<u8> = stamp.to_bytes().into_iter().chain(ramp).collect();
        lossy.write(&frame).unwrap();
        drop(lossy_reader.read().unwrap());
    };
    for (width, height, scheme) in
        [(1280, 800, "dark"), (1280, 800, "light"), (390, 844, "dark"), (390, 844, "light")]
    {
        let tab = browser.open(&format!("http://{}/", viewer.address), width, height, scheme);
        browser.wait(&tab, "document.querySelectorAll('.card .empty[hidden]').length >= 1");
        // Its numbers jump from one look of the server to the next.
        within("drops are shown", || {
            lose();
            std::thread::sleep(Duration::from_millis(300));
            let shown = "[...document.querySelectorAll('.lost')].some((e) => !e.hidden && /dropped/.test(e.textContent))";
            browser.eval(&tab, shown).as_bool().filter(|shown| *shown)
        });
        let whole = "[...document.querySelectorAll('.thumb')].every((thumb) => [...thumb.querySelectorAll('canvas')]
            .every((canvas) => canvas.getBoundingClientRect().height <= thumb.getBoundingClientRect().height + 1))";
        assert_eq!(browser.eval(&tab, whole), true, "no picture is cut off in its card");
        let wide = "document.documentElement.scrollWidth <= innerWidth";
        assert_eq!(browser.eval(&tab, wide), true, "nothing is cut off at {width}");
        browser.screenshot(&tab, &format!("grid-{width}-{scheme}.png"));
        browser.eval(&tab, &format!("location.hash = '#/{}'", names[0]));
        browser.wait(&tab, "document.querySelector('canvas.picture')?.width === 640");
        browser.wait(&tab, "document.querySelector('dl')?.textContent.includes('no.')");
        assert_eq!(browser.eval(&tab, wide), true, "nothing is cut off at {width}");
        browser.screenshot(&tab, &format!("single-{width}-{scheme}.png"));
        browser.eval(&tab, &format!("location.hash = '#/{}'", names[4]));
        browser.wait(&tab, "document.querySelector('.bytes:not([hidden]) .hex')?.textContent.length > 100");
        assert_eq!(browser.eval(&tab, wide), true, "nothing is cut off at {width}");
        browser.screenshot(&tab, &format!("bytes-{width}-{scheme}.png"));
    }
    assert_eq!(browser.complaints, [""; 0]);
}

/// Prints what the server costs and what the browser shows; the machine is a shared one.
#[test]
fn the_rate_of_1080p() {
    let Some(mut browser) = Browser::start() else { return };
    let mut stream = Stream::new(&name(), "I420", 1920, 1080);
    let viewer = Viewer::start(&[&stream.name]);
    let url = format!("http://{}/#/{}", viewer.address, stream.name);
    let tab = browser.open(&url, 1280, 800, "dark");
    let picture = stream.picture(0);
    let started = Instant::now();
    let before = viewer.processor_time();
    paced(&mut stream, &picture, || {});
    let share = (viewer.processor_time() - before) / started.elapsed().as_secs_f64();
    let shown = browser.eval(&tab, "document.querySelectorAll('.tile b')[1].textContent");
    println!("1080p I420 at 30 fps in Chromium: server {share:.3} of a core, shown {shown} fps");
    assert_eq!(browser.complaints, [""; 0]);
    drop(browser);
    // A client that takes every frame: what the server can cost at most.
    let mut socket = viewer.socket(&stream.name, "mode=pixels");
    let (started, before) = (Instant::now(), viewer.processor_time());
    let mut frames = 0;
    paced(&mut stream, &picture, || {
        socket.next();
        frames += 1;
    });
    let time = started.elapsed().as_secs_f64();
    let share = (viewer.processor_time() - before) / time;
    println!("a client that takes all: server {share:.3} of a core at {:.1} fps", f64::from(frames) / time);
}

/// 120 frames at 30 a second.
fn paced(stream: &mut Stream, picture: &[u8], mut each: impl FnMut()) {
    let mut next = Instant::now();
    for _ in 0..120 {
        next += Duration::from_secs(1) / 30;
        stream.show(picture);
        each();
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

#[test]
fn the_documentation_at_two_widths() {
    let Some(site) = std::env::var_os("ZEROBUFFER_TEST_SITE") else {
        println!("skipped: the step `viewer` builds the site and sets ZEROBUFFER_TEST_SITE");
        return;
    };
    let Some(mut browser) = Browser::start() else { return };
    let site = std::path::PathBuf::from(site);
    for (width, height, scheme) in [(1280, 900, "light"), (390, 844, "dark")] {
        for page in ["index", "tutorial", "sizing", "errors", "python", "papers/readme", "papers/protocol"] {
            let url = format!("file://{}/{page}.html", site.display());
            let tab = browser.open(&url, width, height, scheme);
            browser.wait(&tab, "document.querySelector('article h1') && document.readyState === 'complete'");
            // Wide tables and code scroll for themselves, and the page does not.
            let over = browser.eval(&tab, "document.documentElement.scrollWidth - window.innerWidth");
            assert!(over.as_f64().unwrap() <= 0.0, "{page} is {over} pixels too wide at {width}");
            let broken =
                "[...document.images].filter((image) => image.complete && !image.naturalWidth).length";
            assert_eq!(browser.eval(&tab, broken), 0, "{page} has pictures that do not load");
            // As the system says, whatever was chosen on the page before.
            let shown = browser.eval(&tab, "document.body.dataset.mdColorScheme");
            assert_eq!(shown, if scheme == "dark" { "slate" } else { "default" }, "{page} at {width}");
            browser.screenshot(&tab, &format!("site-{}-{width}.png", page.replace('/', "-")));
            browser.eval(&tab, "localStorage.clear()");
        }
    }
    let tab = browser.open(&format!("file://{}/sizing.html", site.display()), 1280, 900, "light");
    browser.wait(&tab, "document.getElementById('sizing-ring')?.textContent.includes('bytes')");
    // The first row of the page's own table.
    for (field, value) in [("bytes", "3110400"), ("rate", "60"), ("pause", "100"), ("held", "0")] {
        let set = format!(
            "(() => {{ const input = document.getElementById('sizing-{field}'); input.value = '{value}';
            input.dispatchEvent(new Event('input')); }})()"
        );
        browser.eval(&tab, &set);
    }
    let text = |browser: &mut Browser, field: &str| {
        let script = format!("document.getElementById('sizing-{field}').textContent");
        browser.eval(&tab, &script).as_str().unwrap().to_owned()
    };
    assert_eq!(text(&mut browser, "frames"), "9");
    assert_eq!(text(&mut browser, "ring"), "27993920 bytes (26.7 MiB)");
    assert_eq!(browser.complaints, [""; 0]);
}
