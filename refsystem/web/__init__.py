"""The pages that people use in a store: diner, kiosk, cashier, waiter, kitchen display, stock. See README.md."""
