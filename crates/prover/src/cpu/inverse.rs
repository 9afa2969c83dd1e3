//! Inverses of many extension elements for the price of a few products each.

use ingot_field::{dispatch, Ext, ExtLanes, Lanes};

/// Vectors of lanes that share one inversion.
const RUN: usize = 256;

/// Replaces c0 + c1 x by its inverse, element by element. Zero has none: its whole run becomes wrong, which the verifier
/// of the finished proof finds.
#[inline(always)]
fn invert_with<L: Lanes>(c0: &mut [u64], c1: &mut [u64]) {
    let mut before = [ExtLanes(L::splat(0), L::splat(0)); RUN];
    for (c0, c1) in c0.chunks_mut(RUN * L::N).zip(c1.chunks_mut(RUN * L::N)) {
        let whole = c0.len() / L::N;
        let mut product = ExtLanes::<L>::splat(Ext::ONE);
        for i in 0..whole {
            before[i] = product;
            product = product.mul(ExtLanes(L::load(&c0[i * L::N..]), L::load(&c1[i * L::N..])));
        }
        let (mut lane0, mut lane1) = ([0; 8], [0; 8]);
        product.0.store(&mut lane0);
        product.1.store(&mut lane1);
        for lane in 0..L::N {
            [lane0[lane], lane1[lane]] = Ext([lane0[lane], lane1[lane]]).inverse().0;
        }
        let mut inverse = ExtLanes(L::load(&lane0), L::load(&lane1));
        for i in (0..whole).rev() {
            let this = inverse.mul(before[i]);
            inverse = inverse.mul(ExtLanes(L::load(&c0[i * L::N..]), L::load(&c1[i * L::N..])));
            this.0.store(&mut c0[i * L::N..]);
            this.1.store(&mut c1[i * L::N..]);
        }
        for i in whole * L::N..c0.len() {
            [c0[i], c1[i]] = Ext([c0[i], c1[i]]).inverse().0;
        }
    }
}

dispatch! {
    /// Replaces each c0 + c1 x by its inverse.
    pub fn invert = invert_with where (c0: &mut [u64], c1: &mut [u64])
}
