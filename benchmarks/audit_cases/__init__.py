"""What is known of functions before the audit sees them: functions of other libraries, planted defects and their sound twins."""
