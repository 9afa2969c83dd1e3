//! `ingot status l1`: what the chain's contract on L1 has, beside what is proved here.
//!
//! A ZKsync chain's contract counts its batches in three steps: committed, verified (their proof was accepted), executed.
//! Asked over Ethereum's JSON-RPC by `eth_call` on the latest block.

use std::{sync::Arc, time::Duration};

use anyhow::{bail, ensure, Context as _};
use ingot_core_api::HttpClient;
use ingot_house_keeper::protocol::{Answer, BatchState, Request};
use ingot_job_store::DeliveryState;
use serde::Serialize;
use serde_json::{json, Value};
use sha3::{Digest as _, Keccak256};

use super::{args::StatusArgs, desk::Desk};
use crate::{exit::Outcome, ui::Ui};

/// What the contract is asked, in the order in which a batch passes.
const COUNTS: [&str; 3] =
    ["getTotalBatchesCommitted()", "getTotalBatchesVerified()", "getTotalBatchesExecuted()"];

#[derive(Serialize)]
struct Shown {
    contract: String,
    l1_chain: u64,
    committed: u64,
    verified: u64,
    executed: u64,
    last_proved_here: Option<u32>,
    unsent_here: u64,
    refused_here: u64,
}

/// An Ethereum node.
struct Node<'a> {
    http: HttpClient,
    contract: &'a str,
}

impl Node<'_> {
    fn call(&self, method: &str, params: Value) -> anyhow::Result<u64> {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let response = self.http.post_json("", &request, Duration::ZERO)?;
        let answer: Value = serde_json::from_slice(&response.body).with_context(|| {
            format!("{} answers {method} with something else than JSON", self.http.base())
        })?;
        if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
            bail!("{} refuses {method}: {error}", self.http.base());
        }
        number(answer.get("result").and_then(Value::as_str).unwrap_or_default())
            .with_context(|| format!("{} answers {method} with {answer}", self.http.base()))
    }

    fn count(&self, function: &str) -> anyhow::Result<u64> {
        let call = json!({ "to": self.contract, "data": format!("0x{}", hex::encode(selector(function))) });
        self.call("eth_call", json!([call, "latest"]))
            .with_context(|| format!("{function} of the contract {}", self.contract))
    }
}

/// The first four bytes of a call, by the function's signature.
fn selector(function: &str) -> [u8; 4] {
    let hash: [u8; 32] = Keccak256::digest(function.as_bytes()).into();
    [hash[0], hash[1], hash[2], hash[3]]
}

/// A quantity or a word of 32 bytes in hexadecimal.
fn number(text: &str) -> anyhow::Result<u64> {
    let digits = text.strip_prefix("0x").filter(|digits| !digits.is_empty());
    let digits = digits.with_context(|| match text {
        "0x" => "an empty answer: expected a number; is this the chain's contract?".to_owned(),
        _ => format!("`{text}`: expected a number in hexadecimal"),
    })?;
    let significant = digits.trim_start_matches('0');
    match significant {
        "" => Ok(0),
        _ => u64::from_str_radix(significant, 16)
            .with_context(|| format!("`{text}`: expected a 64-bit number")),
    }
}

/// Shows how far L1 is, and how far the appliance.
pub(crate) fn status(ui: &Arc<Ui>, args: &StatusArgs) -> anyhow::Result<Outcome> {
    let (Some(rpc), Some(contract)) = (&args.l1_rpc, &args.l1_contract) else {
        bail!("`status l1` needs --l1-rpc URL of an Ethereum node and --l1-contract ADDRESS of the chain's contract")
    };
    let address = contract.strip_prefix("0x").and_then(|digits| hex::decode(digits).ok());
    ensure!(
        address.is_some_and(|bytes| bytes.len() == 20),
        "`{contract}`: expected an address, 0x and 40 hexadecimal digits"
    );
    let desk = Desk::open(&args.service, Some(&args.chain))?;
    let node = Node { http: HttpClient::new(rpc, None), contract };
    let l1_chain = node.call("eth_chainId", json!([]))?;
    let [committed, verified, executed] = {
        let mut counts = [0; 3];
        for (count, function) in counts.iter_mut().zip(COUNTS) {
            *count = node.count(function)?;
        }
        counts
    };
    let batches = desk.batches(true)?;
    if let (None, Some(first)) = (args.chain.chain, batches.first()) {
        ensure!(
            batches.iter().all(|batch| batch.batch.chain == first.batch.chain),
            "batches of several chains are here: say which the contract is of, with --chain"
        );
    }
    let proved = |state| matches!(state, BatchState::Proved | BatchState::Archived);
    let last_proved_here =
        batches.iter().filter(|batch| proved(batch.state)).map(|batch| batch.batch.batch.0).max();
    let Answer::Deliveries(deliveries) = desk.ask(Request::Deliveries)? else {
        bail!("the house keeper answers something else")
    };
    let in_state = |state: DeliveryState| {
        let here = |id| batches.iter().any(|batch| batch.batch == id && proved(batch.state));
        deliveries.iter().filter(|delivery| delivery.state == state && here(delivery.batch)).count() as u64
    };
    let shown = Shown {
        contract: contract.clone(),
        l1_chain,
        committed,
        verified,
        executed,
        last_proved_here,
        unsent_here: in_state(DeliveryState::Pending),
        refused_here: in_state(DeliveryState::Refused),
    };
    ui.show("l1", &shown, &shown.text());
    Ok(Outcome::Done)
}

impl Shown {
    fn text(&self) -> String {
        let Self { contract, l1_chain, committed, verified, executed, .. } = self;
        let mut lines = vec![
            format!("L1 (chain {l1_chain}), contract {contract}:"),
            format!(
                "  committed up to batch {committed}, verified up to {verified}, executed up to {executed}"
            ),
        ];
        lines.push(match self.last_proved_here {
            Some(last) => format!(
                "here: proved up to batch {last}; {} proofs not sent, {} refused by the core",
                self.unsent_here, self.refused_here
            ),
            None => "here: nothing is proved".into(),
        });
        let waiting = committed.saturating_sub(*verified);
        lines.push(match self.last_proved_here.map(u64::from) {
            _ if waiting == 0 => "L1 waits for no proof".into(),
            Some(last) if last > *verified && self.unsent_here == 0 => format!(
                "L1 waits for {waiting} proofs, and the core has those up to batch {last}: it has to submit them"
            ),
            Some(last) if last > *verified => {
                format!("L1 waits for {waiting} proofs; those up to batch {last} are made, not all of them sent")
            }
            _ => format!("L1 waits for {waiting} proofs, the next is that of batch {}", verified + 1),
        });
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_those_of_the_contract() {
        // As Ethereum's ABI specification has it for `baz(uint32,bool)`.
        assert_eq!(selector("baz(uint32,bool)"), [0xcd, 0xcd, 0x77, 0xc0]);
    }

    #[test]
    fn numbers_are_read_and_others_refused() {
        assert_eq!(number("0x0").unwrap(), 0);
        assert_eq!(number(&format!("0x{}2a", "0".repeat(62))).unwrap(), 42);
        for (text, words) in [
            ("0x", "is this the chain's contract"),
            ("", "expected a number"),
            ("12", "expected a number in hexadecimal"),
            ("0xzz", "64-bit"),
            (&*format!("0x1{}", "0".repeat(16)), "64-bit"),
        ] {
            let error = format!("{:#}", number(text).unwrap_err());
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn it_says_who_has_to_act() {
        let shown = |committed, verified, last, unsent_here| {
            let (contract, l1_chain, executed, refused_here) = ("0x".into(), 1, verified, 0);
            let last_proved_here = last;
            Shown {
                contract,
                l1_chain,
                committed,
                verified,
                executed,
                last_proved_here,
                unsent_here,
                refused_here,
            }
            .text()
        };
        assert!(shown(5, 5, Some(5), 0).ends_with("L1 waits for no proof"));
        assert!(shown(7, 5, Some(5), 0).ends_with("waits for 2 proofs, the next is that of batch 6"));
        assert!(shown(7, 5, None, 0).ends_with("waits for 2 proofs, the next is that of batch 6"));
        assert!(shown(7, 5, Some(7), 0).ends_with("the core has those up to batch 7: it has to submit them"));
        assert!(shown(7, 5, Some(7), 1).ends_with("those up to batch 7 are made, not all of them sent"));
    }
}
