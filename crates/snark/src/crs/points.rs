//! Points and their bytes.

use bellman::{
    bn256::{Fr, G1Affine, G2Affine},
    CurveAffine, CurveProjective as _, EncodedPoint as _, PrimeField as _,
};
use rayon::prelude::*;

use super::header::{G1_BYTES, G2_BYTES};

/// Points of G1 that are read, checked or written at a time: 4 MiB of a file.
pub(super) const CHUNK: usize = 1 << 16;

/// A point of G1: on the curve (which has no other subgroup) and not the zero point.
fn g1(bytes: &[u8]) -> Result<G1Affine, String> {
    let mut encoded = <G1Affine as CurveAffine>::Uncompressed::empty();
    encoded.as_mut().copy_from_slice(bytes);
    let point = encoded.into_affine().map_err(|error| error.to_string())?;
    match point.is_zero() {
        true => Err("the zero point".into()),
        false => Ok(point),
    }
}

/// The points in `bytes`, a multiple of 64; the first that is refused, and why.
pub(super) fn decode_g1(bytes: &[u8]) -> Result<Vec<G1Affine>, (usize, String)> {
    let decoded = bytes.par_chunks_exact(G1_BYTES).enumerate().map(|(i, b)| g1(b).map_err(|why| (i, why)));
    decoded.collect()
}

/// The bytes of points.
pub(super) fn encode_g1(points: &[G1Affine]) -> Vec<u8> {
    let mut bytes = vec![0; points.len() * G1_BYTES];
    let encode = |(bytes, point): (&mut [u8], &G1Affine)| {
        bytes.copy_from_slice(point.into_uncompressed().as_ref());
    };
    bytes.par_chunks_exact_mut(G1_BYTES).zip(points).for_each(encode);
    bytes
}

/// A point of G2: on the curve, of the order r, and not the zero point.
pub(super) fn decode_g2(bytes: &[u8; G2_BYTES]) -> Result<G2Affine, String> {
    let mut encoded = <G2Affine as CurveAffine>::Uncompressed::empty();
    encoded.as_mut().copy_from_slice(bytes);
    let point = encoded.into_affine().map_err(|error| error.to_string())?;
    if point.is_zero() {
        return Err("the zero point".into());
    }
    match point.mul(Fr::char()).is_zero() {
        true => Ok(point),
        false => Err("not in the subgroup of order r".into()),
    }
}

/// The bytes of a point of G2.
pub(super) fn encode_g2(point: &G2Affine) -> [u8; G2_BYTES] {
    let mut bytes = [0; G2_BYTES];
    bytes.copy_from_slice(point.into_uncompressed().as_ref());
    bytes
}
