"""A platform of vouchers and members' balances, with calls of the payment gateway's shape; misbehaves on request."""
