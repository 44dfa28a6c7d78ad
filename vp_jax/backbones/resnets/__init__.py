"""ResNets of torchvision, BiT and CIFAR: modules, sizes, weight tables."""
