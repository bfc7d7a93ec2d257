//! Pictures as JPEG and PNG.
use jpeg_encoder::ColorType;

use crate::describe::Pixels;
use crate::pixels::{self, Image};

/// JPEG's quality where nothing else is asked for.
pub(crate) const QUALITY: u8 = 85;

/// A frame as JPEG, at most `width` pixels wide if that is given.
pub(crate) fn jpeg(
    pixels: &Pixels,
    frame: &[u8],
    width: Option<u32>,
    quality: u8,
) -> Result<Vec<u8>, String> {
    let image = image(pixels, frame, width)?;
    let side = |pixels: u32| {
        u16::try_from(pixels).map_err(|_| format!("JPEG has at most 65535 pixels a side, this has {pixels}"))
    };
    let kind = if image.channels == 1 { ColorType::Luma } else { ColorType::Rgb };
    let mut bytes = Vec::with_capacity(image.bytes.len() / 8);
    jpeg_encoder::Encoder::new(&mut bytes, quality)
        .encode(&image.bytes, side(image.width)?, side(image.height)?, kind)
        .map_err(|why| why.to_string())?;
    Ok(bytes)
}

/// A frame as PNG: grey of 16 bits as it is, everything else with 8 bits.
pub(crate) fn png(pixels: &Pixels, frame: &[u8]) -> Result<Vec<u8>, String> {
    let video = &pixels.video;
    let (depth, kind, image) =
        match pixels::gray16(video, &pixels.picture.layout, pixels.picture.split(frame).1) {
            Some(bytes) => {
                let height = u32::try_from(video.rows()).unwrap_or(video.height);
                let image = Image { width: video.width, height, channels: 1, bytes };
                (png::BitDepth::Sixteen, png::ColorType::Grayscale, image)
            }
            None => match image(pixels, frame, None)? {
                image if image.channels == 1 => (png::BitDepth::Eight, png::ColorType::Grayscale, image),
                image => (png::BitDepth::Eight, png::ColorType::Rgb, image),
            },
        };
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, image.width, image.height);
    encoder.set_depth(depth);
    encoder.set_color(kind);
    encoder.set_compression(png::Compression::Fast);
    let written = encoder.write_header().and_then(|mut writer| {
        writer.write_image_data(&image.bytes)?;
        writer.finish()
    });
    written.map_err(|why| why.to_string())?;
    Ok(bytes)
}

fn image(pixels: &Pixels, frame: &[u8], width: Option<u32>) -> Result<Image, String> {
    let scale = width.map_or(1, |width| pixels.video.width.div_ceil(width.max(1)));
    let data = pixels.picture.split(frame).1;
    pixels::convert(&pixels.video, &pixels.picture.layout, data, scale, false)
        .ok_or_else(|| format!("pictures of {} cannot be converted", pixels.video.format))
}
