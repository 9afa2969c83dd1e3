//! Writing a CRS file a part at a time.

use std::{
    fs::{self, File},
    io::{BufWriter, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use bellman::bn256::{G1Affine, G2Affine};

use super::{
    header::HEADER_BYTES,
    points::{encode_g1, encode_g2},
    CrsError, CrsHeader, Origin,
};

/// Writes beside the file and renames at the end, so that there is a whole file or none.
pub(super) struct CrsWriter {
    path: PathBuf,
    part: PathBuf,
    file: BufWriter<File>,
    header: CrsHeader,
    hasher: blake3::Hasher,
    points: u64,
}

impl CrsWriter {
    pub fn create(path: &Path, degree_log2: u32, origin: Origin) -> Result<Self, CrsError> {
        CrsHeader::check_request(degree_log2, &origin)?;
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let io = |action| {
            let path = part.clone();
            move |source| CrsError::Io { action, path, source }
        };
        let mut file = BufWriter::new(
            File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(true)
                .open(&part)
                .map_err(io("create"))?,
        );
        file.write_all(&[0; HEADER_BYTES]).map_err(io("write"))?;
        let header = CrsHeader { degree_log2, origin, body_blake3: [0; 32] };
        Ok(Self { path: path.to_owned(), part, file, header, hasher: blake3::Hasher::new(), points: 0 })
    }

    fn io(&self, action: &'static str) -> impl Fn(std::io::Error) -> CrsError {
        let path = self.part.clone();
        move |source| CrsError::Io { action, path: path.clone(), source }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), CrsError> {
        self.hasher.update(bytes);
        self.file.write_all(bytes).map_err(self.io("write"))
    }

    /// The next points of G1.
    pub fn add(&mut self, points: &[G1Affine]) -> Result<(), CrsError> {
        self.points += points.len() as u64;
        self.write(&encode_g1(points))
    }

    /// Ends with the points of G2. Gives the header, and the BLAKE3 of the file.
    pub fn finish(mut self, g2: &[G2Affine; 2]) -> Result<(CrsHeader, [u8; 32]), CrsError> {
        let expected = 1u64 << self.header.degree_log2;
        if self.points != expected {
            return Err(CrsError::Request(format!("expected {expected} powers, found {}", self.points)));
        }
        for point in g2 {
            self.write(&encode_g2(point))?;
        }
        self.header.body_blake3 = *self.hasher.finalize().as_bytes();
        let header = self.header.to_bytes();
        let io = self.io("write");
        self.file.seek(SeekFrom::Start(0)).map_err(&io)?;
        self.file.write_all(&header).map_err(&io)?;
        let mut file = self.file.into_inner().map_err(|error| io(error.into_error()))?;
        file.sync_all().map_err(&io)?;
        // The whole file's hash starts with the header, which is known last.
        let mut hasher = blake3::Hasher::new();
        file.seek(SeekFrom::Start(0)).map_err(&io)?;
        hasher.update_reader(&mut file).map_err(&io)?;
        drop(file);
        fs::rename(&self.part, &self.path).map_err(io)?;
        let folder =
            self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let sync = |source| CrsError::Io { action: "sync", path: folder.to_owned(), source };
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(sync)?;
        Ok((self.header, *hasher.finalize().as_bytes()))
    }
}
