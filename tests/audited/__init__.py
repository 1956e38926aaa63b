"""What the audit is tried on: functions with known defects, sound ones, and sound ones with one defect each."""
