//! A ceremony's powers, from the form in which ZKsync publishes them (`setup_2^24.key` and the like: monomial, as bellman's
//! `Crs::write` makes them): number of points of G1 as u64, the points, number of points of G2 as u64, the points; big-endian.

use std::{
    fs::File,
    io::{BufReader, Read as _},
    path::Path,
};

use bellman::{
    bn256::{G1Affine, G2Affine},
    CurveAffine as _,
};

use super::{
    check::PowersCheck,
    header::{G1_BYTES, G2_BYTES},
    points::{decode_g1, decode_g2, CHUNK},
    read::{same_hash, starts_with_one},
    write::CrsWriter,
    CrsError, CrsHeader, Origin,
};

/// Writes the first 2^`degree_log2` powers of the ceremony file `source` to `path`, and gives the header and the BLAKE3 to pin.
/// The source must have the BLAKE3 `pinned`, and all its points must be powers of one secret.
///
/// # Errors
/// [`CrsError`]; nothing is left at `path` then.
pub fn import_key(
    source: &Path,
    path: &Path,
    degree_log2: u32,
    ceremony: &str,
    pinned: &[u8; 32],
) -> Result<(CrsHeader, [u8; 32]), CrsError> {
    let io = |error| CrsError::Io { action: "read", path: source.to_owned(), source: error };
    let size = |expected, found| CrsError::Size { path: source.to_owned(), expected, found };
    let file = File::open(source).map_err(io)?;
    let found = file.metadata().map_err(io)?.len();
    let mut reader = BufReader::new(file);
    let mut hasher = blake3::Hasher::new();
    let mut read = |bytes: &mut [u8]| {
        reader.read_exact(bytes).map_err(io)?;
        hasher.update(bytes);
        Ok::<_, CrsError>(())
    };
    let fixed = 16 + 2 * G2_BYTES as u64;
    if found < fixed {
        return Err(size(fixed, found));
    }
    let mut word = [0; 8];
    read(&mut word)?;
    let count = u64::from_be_bytes(word);
    let expected = count.saturating_mul(G1_BYTES as u64).saturating_add(fixed);
    if expected != found {
        return Err(size(expected, found));
    }
    let mut writer = CrsWriter::create(path, degree_log2, Origin::Ceremony(ceremony.to_owned()))?;
    let wanted = 1u64 << degree_log2;
    if count < wanted {
        let found = count.checked_ilog2().unwrap_or(0);
        return Err(CrsError::TooSmall { path: source.to_owned(), expected: degree_log2, found });
    }
    let refuse = |group, index, reason| CrsError::Point { path: source.to_owned(), group, index, reason };
    let mut check = PowersCheck::new();
    let mut done = 0;
    while done < count {
        let len = (CHUNK as u64).min(count - done) as usize;
        let mut bytes = vec![0; len * G1_BYTES];
        read(&mut bytes)?;
        let points = decode_g1(&bytes).map_err(|(i, why)| refuse("G1", done + i as u64, why))?;
        if done == 0 {
            starts_with_one(source, "G1", points.first() == Some(&G1Affine::one()))?;
        }
        check.add(&points)?;
        let keep = wanted.saturating_sub(done).min(len as u64) as usize;
        writer.add(&points[..keep])?;
        done += len as u64;
    }
    read(&mut word)?;
    if u64::from_be_bytes(word) != 2 {
        let (expected, found) = ("2".to_owned(), u64::from_be_bytes(word).to_string());
        return Err(CrsError::Header { path: source.to_owned(), part: "points of G2", expected, found });
    }
    let mut g2 = [G2Affine::one(); 2];
    for (index, point) in g2.iter_mut().enumerate() {
        let mut bytes = [0; G2_BYTES];
        read(&mut bytes)?;
        *point = decode_g2(&bytes).map_err(|why| refuse("G2", index as u64, why))?;
    }
    starts_with_one(source, "G2", g2[0] == G2Affine::one())?;
    same_hash(source, "ceremony file", pinned, hasher.finalize().as_bytes())?;
    check.finish(source, &g2)?;
    writer.finish(&g2)
}
