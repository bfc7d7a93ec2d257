//! The page: everything that it needs is in this program.
use crate::http::{Response, Status};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Path, media type, bytes.
const ASSETS: [(&[&str], &str, &[u8]); 10] = [
    (&[], HTML, include_bytes!("../assets/index.html")),
    (&["style.css"], CSS, include_bytes!("../assets/style.css")),
    (&["icon.svg"], "image/svg+xml", include_bytes!("../assets/icon.svg")),
    (&["main.js"], SCRIPT, include_bytes!("../assets/main.js")),
    (&["dom.js"], SCRIPT, include_bytes!("../assets/dom.js")),
    (&["grid.js"], SCRIPT, include_bytes!("../assets/grid.js")),
    (&["single.js"], SCRIPT, include_bytes!("../assets/single.js")),
    (&["feed.js"], SCRIPT, include_bytes!("../assets/feed.js")),
    (&["pixels.js"], SCRIPT, include_bytes!("../assets/pixels.js")),
    (&["bytes.js"], SCRIPT, include_bytes!("../assets/bytes.js")),
];

pub(crate) fn find(path: &[&str]) -> Option<Response> {
    let (_, kind, bytes) = ASSETS.iter().find(|(at, ..)| *at == path)?;
    Some(Response::new(Status::Ok, kind, *bytes))
}
