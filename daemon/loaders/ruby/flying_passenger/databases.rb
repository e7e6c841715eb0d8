# frozen_string_literal: true

module FlyingPassenger
  # Connections that the app opened while it was loaded. Two processes that use one of them break it, so the
  # preloader closes those that it knows how to, and each process opens its own.
  module Databases
    module_function

    def before_forking
      attempt('ActiveRecord') { clear_active_record } if active_record?
      attempt('Sequel') { ::Sequel::DATABASES.each(&:disconnect) } if defined?(::Sequel::DATABASES)
      attempt('Mongoid') { ::Mongoid.disconnect_clients } if mongoid?
    end

    def after_forking
      attempt('ActiveRecord') { establish_active_record } if active_record?
      attempt('Mongoid') { ::Mongoid.reconnect_clients } if mongoid?
    end

    # From 6.1 on a connection has a role, and only from 7.1 on there is a word for all of them.
    def clear_active_record
      handler = ::ActiveRecord::Base.connection_handler
      if ::ActiveRecord.version >= Gem::Version.new('7.1')
        handler.clear_all_connections!(:all)
      elsif handler.respond_to?(:all_connection_pools)
        handler.all_connection_pools.each(&:disconnect!)
      else
        ::ActiveRecord::Base.clear_all_connections!
      end
    end

    # ActiveRecord detects a fork from 5.2 on; an older one has to reconnect.
    def establish_active_record
      return if defined?(::ActiveSupport::ForkTracker) || ::ActiveRecord.version >= Gem::Version.new('5.2')

      ::ActiveRecord::Base.establish_connection if ::ActiveRecord::Base.connection_handler.connection_pool_list.any?
    end

    # Not one that would only be loaded by being asked.
    def active_record?
      defined?(::ActiveRecord::Base) && !::ActiveRecord.autoload?(:Base)
    end

    def mongoid?
      defined?(::Mongoid) && ::Mongoid.respond_to?(:disconnect_clients)
    end

    # A partly configured library must not prevent the start.
    def attempt(library)
      yield
    rescue StandardError => e
      warn("the connections of #{library} could not be closed around a fork: #{e.class}: #{e.message}")
    end
  end
end
