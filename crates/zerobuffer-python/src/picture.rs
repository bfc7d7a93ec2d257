//! What `frame.array()` stands on: where the samples of a described frame are.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use zerobuffer_video::{Audio, Content, Description, Kind, Layout, Plane, Samples, Stamp, Video};

/// Shape, dtype, strides in bytes, and the byte at which the first element is.
pub(crate) type Array = (Vec<isize>, String, Option<Vec<usize>>, usize);

/// The array that a frame of `size` bytes is, as its metadata describe it; `None` if they say
/// nothing of it.
///
/// `ValueError` for metadata that claim to describe the frame and do not, and for pictures that are
/// no one array.
#[pyfunction]
#[pyo3(name = "_describe")]
pub(crate) fn describe(metadata: &[u8], size: usize) -> PyResult<Option<Array>> {
    array(metadata, size).map_err(PyValueError::new_err)
}

fn array(metadata: &[u8], size: usize) -> Result<Option<Array>, String> {
    let remedy = |why: &dyn std::fmt::Display| format!("{why}: pass shape and dtype");
    let description = Description::parse(metadata).map_err(|why| remedy(&why))?;
    match &description.content {
        Content::Video(video) => {
            let picture = description.picture(size).map_err(|why| remedy(&why))?;
            let start = if picture.stamped { Stamp::SIZE } else { 0 };
            let found = pixels(video, &picture.layout, start);
            let what = || format!("{} pictures with rows that lie like this are no one array", video.format);
            found.map(Some).ok_or_else(|| remedy(&what()))
        }
        Content::Audio(audio) => {
            sound(audio, description.stamped == Some(true), size).map_err(|why| remedy(&why))
        }
        _ => Ok(None),
    }
}

/// The one array that a picture is, if its rows lie so; `start` bytes stand in front of it.
pub(crate) fn pixels(video: &Video, layout: &Layout, start: usize) -> Option<Array> {
    let samples = video.format.samples();
    let dtype = match samples {
        Samples::U8 => "|u1",
        Samples::U16Le => "<u2",
        Samples::U16Be => ">u2",
        _ => return None,
    };
    let planes = layout.planes();
    let first = planes.first()?;
    let (shape, strides) = if let Some(components) = video.format.components() {
        let pixel = components * samples.bytes();
        let width = video.width as usize;
        match components {
            1 => (vec![first.rows, width], vec![first.stride, samples.bytes()]),
            _ => (vec![first.rows, width, components], vec![first.stride, pixel, samples.bytes()]),
        }
    } else if let Some(rows) = stacked(video, planes) {
        (vec![rows, first.row / samples.bytes()], vec![first.stride, samples.bytes()])
    } else if planes.len() > 1
        && planes.iter().all(|plane| plane.row == first.row && plane.rows == first.rows)
    {
        let step = planes.get(1)?.offset.checked_sub(first.offset)?;
        let even = planes.windows(2).all(|pair| match pair {
            [a, b] => b.offset.checked_sub(a.offset) == Some(step) && a.stride == b.stride,
            _ => false,
        });
        let width = first.row / samples.bytes();
        even.then(|| (vec![planes.len(), first.rows, width], vec![step, first.stride, samples.bytes()]))?
    } else {
        return None;
    };
    let shape = shape.into_iter().map(isize::try_from).collect::<Result<_, _>>().ok()?;
    Some((shape, dtype.to_owned(), Some(strides), start + first.offset))
}

/// Rows of OpenCV's one array for luma with a quarter of each chroma: height * 3 / 2, if the planes
/// lie so.
fn stacked(video: &Video, planes: &[Plane]) -> Option<usize> {
    let [luma, chroma @ ..] = planes else { return None };
    let quarter = video.format.kind() == Kind::Yuv
        && video.height.is_multiple_of(2)
        && chroma.iter().map(|plane| plane.row * plane.rows).sum::<usize>() * 2 == luma.row * luma.rows;
    let mut end = luma.offset + luma.stride * luma.rows;
    let follow = chroma.iter().all(|plane| {
        // Two chroma rows side by side make one of the array only where there is no padding between
        // them.
        let fits = plane.offset == end
            && (plane.stride == luma.stride && plane.row == luma.row
                || plane.stride == plane.row && luma.stride == luma.row);
        end = plane.offset + plane.stride * plane.rows;
        fits
    });
    (quarter && follow).then_some(luma.rows * 3 / 2)
}

fn sound(audio: &Audio, stamped: bool, size: usize) -> Result<Option<Array>, String> {
    let start = if stamped { Stamp::SIZE } else { 0 };
    let bytes = size.checked_sub(start).ok_or_else(|| format!("the frame has {size} bytes, its stamp 24"))?;
    let samples = audio.samples(bytes).map_err(|why| why.to_string())?;
    let kind = match audio.sample.kind {
        'S' => "i",
        'U' => "u",
        _ => "f",
    };
    let order = match (audio.sample.bytes, audio.sample.big_endian) {
        (1, _) => "|",
        (_, false) => "<",
        (_, true) => ">",
    };
    if !audio.sample.bytes.is_power_of_two() {
        return Err(format!("samples of {} have no type in NumPy", audio.sample.name));
    }
    let dtype = format!("{order}{kind}{}", audio.sample.bytes);
    let samples = isize::try_from(samples).map_err(|why| why.to_string())?;
    let channels = isize::try_from(audio.channels).map_err(|why| why.to_string())?;
    let shape = match (channels, audio.interleaved) {
        (1, _) => vec![samples],
        (_, true) => vec![samples, channels],
        (_, false) => vec![channels, samples],
    };
    Ok(Some((shape, dtype, None, start)))
}
