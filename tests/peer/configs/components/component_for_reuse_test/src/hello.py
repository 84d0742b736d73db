print("hello again")
