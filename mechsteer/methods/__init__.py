"""How an intervention is learned: from means, or by one trainer and its objectives."""
