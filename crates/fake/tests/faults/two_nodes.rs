//! Two nodes without a shared folder: the house keeper and the witness generator on one, witness vector generators and
//! provers on the other, in two zones. Everything between them goes over links that are cut and stalled.

use std::{fs, os::unix::fs::PermissionsExt as _, thread, time::Duration};

use ingot_fake::link::Link;
use ingot_services::component::ComponentName;
use rand::Rng as _;

use crate::support::{for_seeds, large, Cluster};

#[test]
fn the_links_between_two_nodes_are_cut_and_heal() {
    for_seeds(|mut rng| {
        let mut cluster = Cluster::new();
        cluster.max_attempts = 1000;
        let token = cluster.folder().join("token");
        fs::write(&token, "a token of sufficient length").unwrap();
        fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
        cluster.node("hk").set("house-keeper.token-file", token.display());
        cluster.add(ComponentName::WitnessGenerator, "wg");
        let control = Link::to(cluster.at(3000)).unwrap();
        let mut links = vec![control.clone()];
        for (n, zone) in ["north", "south"].into_iter().enumerate() {
            let n = u16::try_from(n).unwrap();
            let receiver = cluster.at(3300 + n);
            let stream = Link::to(receiver).unwrap();
            let (generator, prover) = (format!("wvg-{zone}"), format!("prover-{zone}"));
            cluster.add(ComponentName::WitnessVectorGenerator, &generator);
            cluster
                .add(ComponentName::CircuitProver, &prover)
                .set("circuit-prover.listen", receiver)
                .set("circuit-prover.advertise", format!("[\"{}\"]", stream.address()));
            let state = cluster.folder().join(format!("node-{zone}"));
            for name in [&generator, &prover] {
                cluster
                    .node(name)
                    .set("host.zone", zone)
                    .set("host.house-keeper", format!("tcp:{}", control.address()))
                    .set("host.token-file", token.display())
                    .set("host.state-dir", state.display());
            }
            links.push(stream);
        }
        cluster.start_all();
        (1..=2).for_each(|seed| cluster.submit(&large(seed)));
        for _ in 0..4 {
            thread::sleep(Duration::from_millis(rng.gen_range(200..700)));
            let link = &links[rng.gen_range(0..links.len())];
            if rng.gen() {
                link.cut();
            } else {
                link.stall();
            }
            thread::sleep(Duration::from_millis(rng.gen_range(300..2_500)));
            link.heal();
        }
        cluster.finish();
        assert!(links.iter().all(|link| link.bytes() > 10_000), "every link was used");
    });
}
