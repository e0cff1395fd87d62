"""Best subset for any smooth loss: moves by a quadratic model, decided by Newton refits."""
