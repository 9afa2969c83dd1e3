//! Reading a CRS file a part at a time.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use bellman::{
    bn256::{G1Affine, G2Affine},
    kate_commitment::Crs,
    CurveAffine as _,
};

use super::{
    check::PowersCheck,
    header::{G1_BYTES, G2_BYTES, HEADER_BYTES},
    points::{decode_g1, decode_g2, CHUNK},
    CrsError, CrsHeader,
};
use crate::plonk::Powers;

/// What a reader expects of a file.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// log2 of the number of powers needed; no more are kept in memory.
    pub degree_log2: u32,
    /// BLAKE3 of the whole file. Without it the points are checked to be powers of one secret, with two multiplications a
    /// point; with it that was done when the hash was pinned.
    pub pinned: Option<[u8; 32]>,
}

/// A CRS in memory.
pub struct LoadedCrs {
    /// What the file says of itself.
    pub header: CrsHeader,
    /// BLAKE3 of the whole file.
    pub blake3: [u8; 32],
    /// As many powers as were asked for, and [1]₂ and [τ]₂.
    pub powers: Powers,
}

impl std::fmt::Debug for LoadedCrs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadedCrs").field("header", &self.header).finish_non_exhaustive()
    }
}

struct Source<R> {
    path: PathBuf,
    reader: R,
    whole: blake3::Hasher,
    body: blake3::Hasher,
}

impl<R: Read> Source<R> {
    fn read(&mut self, bytes: &mut [u8]) -> Result<(), CrsError> {
        let path = &self.path;
        let io = |source| CrsError::Io { action: "read", path: path.clone(), source };
        self.reader.read_exact(bytes).map_err(io)?;
        self.whole.update(bytes);
        self.body.update(bytes);
        Ok(())
    }
}

pub(super) fn hex(hash: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*hash).to_hex().to_string()
}

pub(super) fn same_hash(
    path: &Path,
    what: &'static str,
    expected: &[u8; 32],
    found: &[u8; 32],
) -> Result<(), CrsError> {
    match expected == found {
        true => Ok(()),
        false => {
            let (expected, found) = (hex(expected), hex(found));
            Err(CrsError::Hash { path: path.to_owned(), what, expected, found })
        }
    }
}

/// Compares the hashes of the file at `path` without looking at its points.
fn check_hashes(path: &Path, header: &CrsHeader, pinned: Option<&[u8; 32]>) -> Result<(), CrsError> {
    let io = |source| CrsError::Io { action: "read", path: path.to_owned(), source };
    let mut file = File::open(path).map_err(io)?;
    let mut start = [0; HEADER_BYTES];
    file.read_exact(&mut start).map_err(io)?;
    let (mut whole, mut body) = (blake3::Hasher::new(), blake3::Hasher::new());
    whole.update(&start);
    let mut part = vec![0; CHUNK * G1_BYTES];
    loop {
        let len = file.read(&mut part).map_err(io)?;
        if len == 0 {
            break;
        }
        whole.update(&part[..len]);
        body.update(&part[..len]);
    }
    same_hash(path, "body", &header.body_blake3, body.finalize().as_bytes())?;
    match pinned {
        Some(pinned) => same_hash(path, "pinned file", pinned, whole.finalize().as_bytes()),
        None => Ok(()),
    }
}

/// The first points of both groups must be the generators that a verifier has built in.
pub(super) fn starts_with_one(path: &Path, group: &'static str, is_one: bool) -> Result<(), CrsError> {
    match is_one {
        true => Ok(()),
        false => {
            let reason = "expected the generator".into();
            Err(CrsError::Point { path: path.to_owned(), group, index: 0, reason })
        }
    }
}

impl LoadedCrs {
    /// Reads the file at `path`. Every point that is kept is checked to be on its curve and not the zero point, those of G2 to
    /// be in the subgroup.
    ///
    /// # Errors
    /// [`CrsError`]: the file is wrong, cut off, damaged, too small, or not the pinned one.
    pub fn load(path: &Path, expected: Expected) -> Result<Self, CrsError> {
        let io = |source| CrsError::Io { action: "read", path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        let found = file.metadata().map_err(io)?.len();
        if found < HEADER_BYTES as u64 {
            return Err(CrsError::Size { path: path.to_owned(), expected: HEADER_BYTES as u64, found });
        }
        let hashers = (blake3::Hasher::new(), blake3::Hasher::new());
        let mut source =
            Source { path: path.to_owned(), reader: BufReader::new(file), whole: hashers.0, body: hashers.1 };
        let mut header = [0; HEADER_BYTES];
        source.read(&mut header)?;
        let header = CrsHeader::from_bytes(path, &header)?;
        source.body.reset();
        let size = header.body_bytes() + HEADER_BYTES as u64;
        if size != found {
            return Err(CrsError::Size { path: path.to_owned(), expected: size, found });
        }
        if header.degree_log2 < expected.degree_log2 {
            let (expected, found) = (expected.degree_log2, header.degree_log2);
            return Err(CrsError::TooSmall { path: path.to_owned(), expected, found });
        }
        let (g1, g2) = match read_points(&mut source, &header, expected) {
            Ok(points) => points,
            Err(error @ (CrsError::Point { .. } | CrsError::Inconsistent { .. })) => {
                // In a damaged file the hashes say more than the point that was met first.
                check_hashes(path, &header, expected.pinned.as_ref())?;
                return Err(error);
            }
            Err(error) => return Err(error),
        };
        same_hash(path, "body", &header.body_blake3, source.body.finalize().as_bytes())?;
        let blake3 = *source.whole.finalize().as_bytes();
        if let Some(pinned) = &expected.pinned {
            same_hash(path, "pinned file", pinned, &blake3)?;
        }
        if let Some(why) = header.origin.insecure_because() {
            tracing::warn!(crs = %path.display(), "INSECURE: {why}");
        }
        Ok(Self { header, blake3, powers: Crs::new(g1, g2.to_vec()) })
    }
}

fn read_points<R: Read>(
    source: &mut Source<R>,
    header: &CrsHeader,
    expected: Expected,
) -> Result<(Vec<G1Affine>, [G2Affine; 2]), CrsError> {
    let path = source.path.clone();
    let refuse = |group, index, reason| CrsError::Point { path: path.clone(), group, index, reason };
    let (total, wanted) = (1usize << header.degree_log2, 1usize << expected.degree_log2);
    let mut check = expected.pinned.is_none().then(PowersCheck::new);
    let mut kept: Vec<G1Affine> = Vec::with_capacity(wanted);
    let mut bytes = vec![0; CHUNK.min(total) * G1_BYTES];
    for start in (0..total).step_by(CHUNK) {
        // Both are powers of two: a chunk is whole, or the only one.
        source.read(&mut bytes)?;
        if start >= wanted && check.is_none() {
            continue;
        }
        let points = decode_g1(&bytes).map_err(|(i, why)| refuse("G1", (start + i) as u64, why))?;
        if start == 0 {
            starts_with_one(&path, "G1", points.first() == Some(&G1Affine::one()))?;
        }
        if let Some(check) = &mut check {
            check.add(&points)?;
        }
        kept.extend(points.iter().take(wanted.saturating_sub(start)));
    }
    let mut g2 = [G2Affine::one(); 2];
    for (index, point) in g2.iter_mut().enumerate() {
        let mut bytes = [0; G2_BYTES];
        source.read(&mut bytes)?;
        *point = decode_g2(&bytes).map_err(|why| refuse("G2", index as u64, why))?;
    }
    starts_with_one(&path, "G2", g2[0] == G2Affine::one())?;
    if let Some(check) = check {
        check.finish(&path, &g2)?;
    }
    Ok((kept, g2))
}
