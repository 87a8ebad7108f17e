"""`make bench-lifecycle`: what the gateway adds to the time that Fly itself takes to make, hand out or wake a Machine.

The gateway is a real `my-jarvis serve` on a core of its own. Fly is the local one, with the rate limits that Fly
documents and latencies like Fly's; its Machines are thin (`localcloud.fly.thin`), so that hundreds of them cost little.
"""
