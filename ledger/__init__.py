"""What the audit finds in the losses of other libraries: docs/ledger.md is written from here, by `make ledger`."""
