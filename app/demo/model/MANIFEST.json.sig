{"algorithm": "ed25519", "key_id": "295d62d0bcc4aad2", "signature": "o/02kuwVonFxbH9ssZgBYMCAMNAb2sj7CyvkQJbDifQc4+2ldbdYvyjPyUXTm1aMd1cIpKCIiFz5hLZ9JKepBA=="}
